"""In which order a token mixer reads a clip: a permutation of the grid's tokens, cut into sequences of equal length.

A grid has ``frames`` x ``height`` x ``width`` tokens; token (f, y, x) has the index (f * height + y) * width + x. Along time,
against it, or both ways is the mixer's own option.

===========  =========  ==============================  ===============================================================
order        sequences  length of each                  tokens follow each other
===========  =========  ==============================  ===============================================================
``h``        1          frames x height x width         horizontally: x fastest, then y, then f
``v``        1          frames x height x width         vertically: y fastest, then x, then f
``t``        1          frames x height x width         temporal-major: f fastest, then x, then y
``z``        1          frames x height x width         boustrophedon: as ``h``, every other row backwards, every other
                                                        frame backwards as a whole, so that neighbours in the sequence are
                                                        neighbours in the clip
``b4x8``     1          frames x height x width         blocks of 4 rows and 8 columns: f slowest, then blocks row by row,
                                                        within a block row by row; blocks at the edge may be smaller
``site``     height x   frames                          f; a place of its own each, places row by row
             width
``frame``    frames     height x width                  x fastest, then y; a frame of its own each
===========  =========  ==============================  ===============================================================
"""

from __future__ import annotations

import re

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from vdmbench.suite.block_pattern import SCAN_ORDER, SCAN_ORDERS

# Axes of (batch, frames, height, width, channels) as each order reads them, and how many of them stay outside of a sequence.
_AXES = {"h": (0, 1, 2, 3, 4), "v": (0, 1, 3, 2, 4), "t": (0, 2, 3, 1, 4), "site": (0, 2, 3, 1, 4), "frame": (0, 1, 2, 3, 4)}
_OUTSIDE = {"site": 3, "frame": 2}


class ScanOrder:
    """One of the orders above, for grids of any size.

    Attributes:
        crosses_frames: whether a sequence holds tokens of several frames.

    Raises:
        ValueError: no order has the name.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(SCAN_ORDER, name):
            raise ValueError(f"no scan order is called '{name}'; known: {SCAN_ORDERS}")
        self.name = name
        self.crosses_frames = name != "frame"
        self._block = tuple(int(side) for side in name[1:].split("x")) if name[0] == "b" else None

    def arrange(self, x: Shaped[Tensor, "batch frames height width channels"]) -> Shaped[Tensor, "sequences length channels"]:
        """The clips' tokens as sequences, a clip's next to each other."""
        if self.name in _AXES:
            return x.permute(_AXES[self.name]).flatten(_OUTSIDE.get(self.name, 1), 3).flatten(0, -3)
        frames, height, width = x.shape[1:4]
        return x.flatten(1, 3).index_select(1, self._order(frames, height, width, x.device))

    def restore(
        self, y: Shaped[Tensor, "sequences length channels"], frames: int, height: int, width: int
    ) -> Shaped[Tensor, "batch {frames} {height} {width} channels"]:
        """What :meth:`arrange` made of a grid of that size, back in its place."""
        if self.name in _AXES:
            axes, sizes = _AXES[self.name], (0, frames, height, width)
            back = [axes.index(axis) for axis in range(5)]
            return y.reshape(-1, *(sizes[axis] for axis in axes[1:4]), y.shape[-1]).permute(back)
        inverse = self._order(frames, height, width, y.device).argsort()
        return y.index_select(1, inverse).unflatten(1, (frames, height, width))

    def indices(self, frames: int, height: int, width: int) -> Int[Tensor, "sequences length"]:
        """The tokens of each sequence of one clip by their index."""
        tokens = torch.arange(frames * height * width).view(1, frames, height, width, 1)
        return self.arrange(tokens).squeeze(-1)

    def _order(self, frames: int, height: int, width: int, device: torch.device) -> Int[Tensor, " length"]:
        """Indices of the orders that no exchange of axes gives."""
        f, y, x = (torch.arange(size, device=device) for size in (frames, height, width))
        if self._block is None:
            path = ((y * width)[:, None] + torch.where(y[:, None] % 2 == 0, x, width - 1 - x)).flatten()
            return (f[:, None] * height * width + torch.where(f[:, None] % 2 == 0, path, path.flip(0))).flatten()
        rows, columns = self._block
        # Sorted by the block's row and column, then by the token's own: places are row by row to begin with, and stay so.
        blocks = (y // rows)[:, None] * width + x // columns
        within = blocks.flatten().argsort(stable=True)
        return (f[:, None] * height * width + within).flatten()
