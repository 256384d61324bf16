"""The gated norm that stands between a recurrence and its output map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class GatedRMSNorm(nn.Module):
    """x / rms(x), a gain for each feature, and SiLU of a gate (Zhang and Sennrich 2019, arXiv 1910.07467, eq. 4).

    Args:
        group: features whose root mean square is taken together; ``features`` is a multiple of it.
        gate_first: multiply by the gate before the norm, as Mamba-2 does, instead of after it.
    """

    def __init__(self, features: int, *, group: int, gate_first: bool, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.group, self.gate_first, self.epsilon = group, gate_first, epsilon

    def forward(
        self, x: Float[Tensor, "... features"], gate: Float[Tensor, "... features"] | None
    ) -> Float[Tensor, "... features"]:
        """Without a gate the norm alone."""
        if gate is None:
            return self._normed(x)
        return self._normed(x * F.silu(gate)) if self.gate_first else self._normed(x) * F.silu(gate)

    def _normed(self, x: Float[Tensor, "... features"]) -> Float[Tensor, "... features"]:
        weight = self.weight.to(x.dtype)  # fused kernels take one dtype
        if self.group == len(weight):
            return F.rms_norm(x, weight.shape, weight, self.epsilon)
        return F.rms_norm(x.unflatten(-1, (-1, self.group)), (self.group,), eps=self.epsilon).flatten(-2) * weight
