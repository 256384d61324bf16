"""The residual block of the UNet: two convolutions within each frame, told the diffusion time.

For the backward pass it keeps its input and what each convolution gives; norms, SiLU and sums are computed again.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.networks.norms import GroupNormSiLU


class ResBlock(nn.Module):
    """Twice 3x3 convolution, group norm, SiLU; the time scales and shifts after the first norm; 1x1 shortcut between widths.

    Args:
        embedding: width of the time embedding, or None for a block that is not told the time.
        pool_frames: see :class:`~vdmbench.networks.norms.GroupNormSiLU`.
    """

    def __init__(self, inputs: int, outputs: int, *, embedding: int | None, pool_frames: bool) -> None:
        super().__init__()
        self.film = None if embedding is None else nn.Linear(embedding, 2 * outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = GroupNormSiLU(outputs, pool_frames=pool_frames)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = GroupNormSiLU(outputs, pool_frames=pool_frames)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(
        self,
        x: Float[Tensor, "images inputs height width"],
        frames: int,
        embedding: Float[Tensor, "batch_or_images embedding"] | None = None,
    ) -> Float[Tensor, "images outputs height width"]:
        """``images`` is batch times ``frames``; the embedding, behind its SiLU, is that of each clip, or of each image."""
        assert (self.film is None) == (embedding is None)
        film = None if self.film is None else self.film(embedding)
        h = self.conv2(self.norm1(self.conv1(x), frames, film))
        if self.shortcut is None:
            return self.norm2(h, frames, residual=x)
        # Kept in the place of what the shortcut gives, which nothing then asks for.
        return self.norm2(h, frames, residual=self.shortcut(x), keep=True)
