"""A clip as tokens: patches of frames, rows and columns, mapped to channels and put together again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.networks.condition import Condition


class Patches(nn.Module):
    """One linear map of every patch (Dosovitskiy et al. 2021, arXiv 2010.11929, eq. 1), without overlap.

    Attributes:
        numbers: of a patch, over its frames, channels, rows and columns.

    Args:
        width: channels of a token.
        size: frames, rows and columns of a patch.
        channels: of an image.

    Raises:
        ValueError: another number of sizes than three, or one that is not positive.
    """

    def __init__(self, width: int, size: Sequence[int], channels: int) -> None:
        super().__init__()
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f"patch must be three positive sizes, of frames, rows and columns, got {tuple(size)}")
        self.frames, self.rows, self.columns = size
        self.channels = channels
        self.numbers = math.prod(size) * channels
        self.embed = nn.Linear(self.numbers, width)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)

    def forward(
        self, x: Float[Tensor, "batch frames channels height width"]
    ) -> Float[Tensor, "batch grid_frames grid_height grid_width token"]:
        parts = x.unflatten(4, (-1, self.columns)).unflatten(3, (-1, self.rows)).unflatten(1, (-1, self.frames))
        # (batch, F, frames, channels, H, rows, W, columns), a patch's own axes moved to the end
        return self.embed(parts.permute(0, 1, 4, 6, 2, 3, 5, 7).flatten(4))

    def joined(
        self, patches: Float[Tensor, "batch grid_frames grid_height grid_width numbers"]
    ) -> Float[Tensor, "batch frames channels height width"]:
        """Numbers of each patch, put where :meth:`forward` took them from."""
        parts = patches.unflatten(4, (self.frames, self.channels, self.rows, self.columns))
        return parts.permute(0, 1, 4, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(1, 2)

    def check(self, x: Float[Tensor, "batch frames channels height width"]) -> None:
        """Raise ValueError for a clip that does not divide into patches."""
        frames, _, height, width = x.shape[1:]
        if frames % self.frames or height % self.rows or width % self.columns:
            raise ValueError(
                f"frames, height and width must be multiples of the patch {self.frames} x {self.rows} x {self.columns}, "
                f"got {frames} x {height} x {width}"
            )

    def times(
        self, t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"]
    ) -> Num[Tensor, " batch"] | Num[Tensor, "batch grid_frames"]:
        """The diffusion time of each patch's frames, which must be one.

        Raises:
            ValueError: frames of one patch at different times.
        """
        if t.dim() == 1 or self.frames == 1:
            return t
        grouped = t.unflatten(1, (-1, self.frames))
        if not bool(torch.all(grouped == grouped[..., :1])):
            raise ValueError(
                f"a token spans {self.frames} frames, so these must be at one diffusion time: give them one, or use a patch of "
                "1 frame"
            )
        return grouped[..., 0]

    def pooled(self, condition: Condition) -> Condition:
        """What frames are told, as the mean over a patch's."""
        if condition.frames is None or self.frames == 1:
            return condition
        return dataclasses.replace(condition, frames=condition.frames.unflatten(1, (-1, self.frames)).mean(2))
