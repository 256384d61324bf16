"""Rotary position embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

MAX_WIDTH = 32
"""Features of a head that are rotated, at most; the others carry content alone (Oshima et al. 2024)."""


def rotated_features(head_dim: int) -> int:
    """How many of a head's features are rotated."""
    return min(MAX_WIDTH, head_dim)


class Rotary(nn.Module):
    """Rotates pairs of features by an angle that grows with the frame (Su et al. 2021, arXiv 2104.09864, eq. 14-15, 34).

    Pair i of frame t turns by t * 10000^(-2i / width), so that the product of a rotated query and a rotated key depends on
    the distance between their frames, and not on the frames.

    Args:
        head_dim: features of a head; the first ``min(32, head_dim)`` are rotated.
        stored: keep the frequencies as a frozen parameter, as the published network does, which counts them. They are
            computed where they are used otherwise.

    Raises:
        ValueError: ``head_dim`` is odd.
    """

    frequencies: nn.Parameter | None

    def __init__(self, head_dim: int, *, stored: bool = False) -> None:
        super().__init__()
        if head_dim % 2:
            raise ValueError(f"rotary embedding turns pairs of features: head_dim must be even, got {head_dim}")
        self.width = rotated_features(head_dim)
        frequencies = nn.Parameter(self._frequencies(None), requires_grad=False) if stored else None
        self.register_parameter("frequencies", frequencies)

    def forward(
        self, x: Float[Tensor, "batch heads frames head_dim"], *, first: int = 0
    ) -> Float[Tensor, "batch heads frames head_dim"]:
        """``first`` is the number of the first frame of ``x``."""
        frequencies = self._frequencies(x.device) if self.frequencies is None else self.frequencies
        wide = torch.promote_types(x.dtype, torch.float32)  # half precision has no complex product, and too few digits for t
        still = frequencies.new_zeros((x.shape[-1] - self.width) // 2)  # pairs that are not rotated turn by 0
        frames = torch.arange(first, first + x.shape[2], device=x.device, dtype=wide)
        angle = frames[:, None] * torch.cat([frequencies, still]).to(wide)  # (frames, head_dim / 2)
        turn = torch.polar(torch.ones_like(angle), angle)
        pairs = torch.view_as_complex(x.to(wide).unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)

    def _frequencies(self, device: torch.device | None) -> Tensor:
        pairs = torch.arange(0, self.width, 2, device=device, dtype=torch.float32)
        return 10_000.0 ** (-pairs / self.width)
