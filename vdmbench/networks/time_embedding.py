"""What the network knows of the diffusion time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

MAX_PERIOD = 10_000.0


def sinusoidal(t: Num[Tensor, " *places"], width: int) -> Float[Tensor, "*places {width}"]:
    """Sines, then cosines of t at frequencies from 1 to 1 / 10,000 in equal ratios.

    Vaswani et al. 2017 (arXiv 1706.03762, sec. 3.5), end points as in Ho et al. 2020 (arXiv 2006.11239, code). In float32,
    or float64 for a float64 t.
    """
    half = width // 2
    dtype = torch.promote_types(t.dtype, torch.float32)
    exponents = torch.arange(half, device=t.device, dtype=dtype) / max(half - 1, 1)
    angles = t.to(dtype)[..., None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat([angles.sin(), angles.cos()], -1)


class TimeEmbedding(nn.Module):
    """Sinusoids of ``frequencies`` features, then a perceptron to ``width``.

    Args:
        width: of the embedding; None is ``32 * frequencies`` (Oshima et al. 2024, code).
    """

    def __init__(self, frequencies: int, width: int | None = None) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.width = 32 * frequencies if width is None else width
        self.layers = nn.Sequential(nn.Linear(frequencies, self.width), nn.GELU(), nn.Linear(self.width, self.width))

    def forward(self, t: Num[Tensor, " *places"]) -> Float[Tensor, "*places width"]:
        """Embedding of the diffusion time, integer steps or real numbers: of clips, or of their frames."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return self.layers(sinusoidal(t, self.frequencies).to(first.weight.dtype))
