"""Two selective scans, one along time and one against it, and their merge, as one op."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, choose, declare
from vdmbench.ops.selective_scan import selective_scan

Merge = Literal["sum", "product", "concat"]


class Direction(NamedTuple):
    """What one direction scans, as in :func:`vdmbench.ops.selective_scan`; both directions are in the order of the video."""

    x: Float[Tensor, "batch frames channels"]
    dt: Float[Tensor, "batch frames channels"]
    A: Float[Tensor, "channels state"]
    B: Float[Tensor, "batch frames state"]
    C: Float[Tensor, "batch frames state"]
    D: Float[Tensor, " channels"] | None = None
    dt_bias: Float[Tensor, " channels"] | None = None


def bidirectional_selective_scan(
    forward: Direction,
    backward: Direction,
    *,
    gate: Float[Tensor, "batch frames channels"] | None = None,
    merge: Merge = "sum",
    softplus: bool = True,
    backend: str = "auto",
) -> Float[Tensor, "batch frames merged"]:
    """Scan one direction along time and the other against it, merge, and gate (Zhu et al. 2024, arXiv 2401.09417, alg. 1)."""
    return choose("bidirectional_selective_scan", backend, forward.x).run(forward, backward, gate, merge, softplus)


def _reference(forward: Direction, backward: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    ahead = selective_scan(*forward[:6], dt_bias=forward.dt_bias, softplus=softplus, backend="reference")
    back = selective_scan(*backward[:6], dt_bias=backward.dt_bias, softplus=softplus, reverse=True, backend="reference")
    y = _merge(ahead, back, merge)
    if gate is None:
        return y
    silu = F.silu(gate)
    return y * (torch.cat([silu, silu], -1) if merge == "concat" else silu)


def _merge(ahead: Tensor, back: Tensor, merge: str) -> Tensor:
    if merge == "sum":
        return ahead + back
    if merge == "product":
        return ahead * back
    return torch.cat([ahead, back], -1)


declare("bidirectional_selective_scan", Backend("reference", _reference))
