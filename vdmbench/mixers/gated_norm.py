"""The gated norm that stands between a recurrence and its output map."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.ops.recompute import recomputed


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
        self, x: Float[Tensor, "... features"], gate: Float[Tensor, "... gated"] | None
    ) -> Float[Tensor, "... features"]:
        """Without a gate the norm alone; a gate of half the features is of both halves."""
        return recomputed(partial(_normed, self.group, self.gate_first, self.epsilon), x, gate, self.weight)


def _normed(group: int, gate_first: bool, epsilon: float, x: Tensor, gate: Tensor | None, weight: Tensor) -> Tensor:
    dtype = x.dtype  # in which the output map wants it; autocast norms in float32
    if gate is not None and gate.shape != x.shape:
        gate = torch.cat([gate, gate], -1)
    if gate is not None and gate_first:
        x = x * F.silu(gate)
    weight = weight.to(x.dtype)  # fused kernels take one dtype
    if group == len(weight):
        x = F.rms_norm(x, weight.shape, weight, epsilon)
    else:
        x = F.rms_norm(x.unflatten(-1, (-1, group)), (group,), eps=epsilon).flatten(-2) * weight
    return (x if gate is None or gate_first else x * F.silu(gate)).to(dtype)
