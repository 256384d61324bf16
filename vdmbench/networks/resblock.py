"""The residual block of the UNet: two convolutions within each frame, told the diffusion time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.networks.norms import GroupNorm


class ResBlock(nn.Module):
    """Twice 3x3 convolution, group norm, SiLU; the time scales and shifts after the first norm; 1x1 shortcut between widths.

    The time's scale and shift are feature-wise (FiLM: Perez et al. 2018, arXiv 1709.07871, eq. 1), scale as 1 + s.

    Args:
        embedding: width of the time embedding, or None for a block that is not told the time.
        pool_frames: see :class:`~vdmbench.networks.norms.GroupNorm`.
    """

    def __init__(self, inputs: int, outputs: int, *, embedding: int | None, pool_frames: bool) -> None:
        super().__init__()
        self.film = None if embedding is None else nn.Linear(embedding, 2 * outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = GroupNorm(outputs, pool_frames=pool_frames)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = GroupNorm(outputs, pool_frames=pool_frames)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "images inputs height width"],
        frames: int,
        embedding: Float[Tensor, "batch_or_images embedding"] | None = None,
    ) -> Float[Tensor, "images outputs height width"]:
        """``images`` is batch times ``frames``; the time is that of each clip, or of each image."""
        h = self.norm1(self.conv1(x), frames)
        if self.film is not None:
            assert embedding is not None
            film = self.film(F.silu(embedding))
            if len(film) < len(x):  # a clip's, for each of its frames
                film = film.repeat_interleave(frames, 0)  # (images, 2 outputs)
            scale, shift = film[..., None, None].chunk(2, 1)
            h = torch.addcmul(shift, h, scale + 1)
        h = F.silu(self.norm2(self.conv2(F.silu(h)), frames))
        return h + self.shortcut(x)
