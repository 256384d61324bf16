"""Where a token is: fixed sinusoids of its frame, row and column."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.networks.time_embedding import sinusoidal


def grid_positions(
    frames: int, height: int, width: int, channels: int, *, device: torch.device, dtype: torch.dtype, first: int = 0
) -> Float[Tensor, "{frames} {height} {width} {channels}"]:
    """A third of the channels each for row, column and frame, as sinusoids of Vaswani et al. 2017 (arXiv 1706.03762, sec. 3.5).

    As DiT has them for two axes (Peebles and Xie 2023, arXiv 2212.09748, sec. 3.2), with a third. Thirds are rounded down to an
    even number, and frames have the rest. ``first`` is the number of the first frame.
    """
    third = channels // 6 * 2

    def along(size: int, before: int, share: int, begin: int = 0) -> Tensor:
        places = torch.arange(begin, begin + size, device=device, dtype=torch.promote_types(dtype, torch.float32))
        return F.pad(sinusoidal(places, share), (before, channels - before - share)).to(dtype)

    rows, columns = along(height, 0, third), along(width, third, third)
    return along(frames, 2 * third, channels - 2 * third, first)[:, None, None] + (rows[:, None] + columns)
