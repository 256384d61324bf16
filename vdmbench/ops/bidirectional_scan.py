"""Two selective scans, one along time and one against it, and their merge, as one op."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, choose, declare
from vdmbench.ops.mamba_ssm_scan import mamba_ssm_missing, mamba_ssm_scan
from vdmbench.ops.numba_scan import numba_missing, numba_scan
from vdmbench.ops.selective_scan import check_direction, check_gate, reference_scan

Merge = Literal["sum", "product", "concat"]


class Direction(NamedTuple):
    """What one direction scans, as in :func:`vdmbench.ops.selective_scan`; frames are in the order of the video in both."""

    x: Float[Tensor, "batch frames channels"]
    dt: Float[Tensor, "batch frames channels"]
    A: Float[Tensor, "channels state"]
    B: Float[Tensor, "batch frames state"]
    C: Float[Tensor, "batch frames state"]
    D: Float[Tensor, " channels"] | None = None
    dt_bias: Float[Tensor, " channels"] | None = None


def bidirectional_selective_scan(
    ahead: Direction,
    back: Direction,
    *,
    gate: Float[Tensor, "batch frames channels"] | None = None,
    merge: Merge = "sum",
    softplus: bool = True,
    backend: str = "auto",
) -> Float[Tensor, "batch frames merged"]:
    """Scan one direction along time and the other against it, merge them, and gate (Zhu et al. 2024, arXiv 2401.09417, alg. 1).

        y_t = merge(scan(ahead)_t, reverse scan(back)_t) silu(gate_t)

    Args:
        ahead: scanned from the first frame to the last.
        back: scanned from the last frame to the first; may share any tensor with ``ahead``.
        gate: multiplies the merged outputs after its SiLU; both halves of a concatenation.
        merge: ``sum`` or ``product`` of the two outputs, merged = channels; or ``concat`` along channels, ``ahead`` first,
            merged = 2 channels.
        softplus: as in :func:`vdmbench.ops.selective_scan`, for both.
        backend: ``mamba_ssm`` (CUDA; two scans), ``numba`` (CPU; fused), ``reference`` (two loops over frames), or ``auto``.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the merge is unknown, or the backend is unknown or cannot run.
    """
    if merge not in get_args(Merge):
        raise ValueError(f"merge must be one of {', '.join(get_args(Merge))}, got '{merge}'")
    op = "bidirectional_selective_scan"
    check_direction(op, *ahead, prefix="ahead.")
    check_direction(op, *back, prefix="back.")
    if back.x.shape != ahead.x.shape or back.x.dtype != ahead.x.dtype or back.x.device != ahead.x.device:
        raise ValueError(f"{op} takes back.x like ahead.x, got {tuple(back.x.shape)} {back.x.dtype} on {back.x.device} and "
                         f"{tuple(ahead.x.shape)} {ahead.x.dtype} on {ahead.x.device}")
    if back.A.shape != ahead.A.shape:
        raise ValueError(f"{op} takes back.A of shape {tuple(ahead.A.shape)} like ahead.A, got {tuple(back.A.shape)}")
    check_gate(op, ahead.x, gate)
    return choose(op, backend, ahead.x).run(ahead, back, gate, merge, softplus)


def _reference(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return _merged(reference_scan(ahead, None, softplus, False), reference_scan(back, None, softplus, True), gate, merge)


def _mamba_ssm(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return _merged(mamba_ssm_scan(ahead, None, softplus, False), mamba_ssm_scan(back, None, softplus, True), gate, merge)


def _merged(ahead: Tensor, back: Tensor, gate: Tensor | None, merge: str) -> Tensor:
    weight = None if gate is None else F.silu(gate).to(ahead.dtype)
    if merge == "concat":
        return torch.cat([y if weight is None else y * weight for y in (ahead, back)], -1)
    y = ahead + back if merge == "sum" else ahead * back
    return y if weight is None else y * weight


def _numba(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return numba_scan(ahead, back, gate, merge, softplus, False)


declare(
    "bidirectional_selective_scan",
    Backend("mamba_ssm", _mamba_ssm, ("cuda",), mamba_ssm_missing),
    Backend("numba", _numba, ("cpu",), numba_missing),
    Backend("reference", _reference),
)
