"""Two selective scans, one along time and one against it, and their merge, as one op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.direction import Direction
from vdmbench.ops.mamba_ssm_scan import mamba_ssm_missing, mamba_ssm_scan
from vdmbench.ops.numba_scan import numba_missing, numba_scan
from vdmbench.ops.selective_scan import reference_scan
from vdmbench.ops.triton_scan import DEVICES, refuses, triton_missing, triton_scan

Merge = Literal["sum", "product", "concat", "quasi-separable"]


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
        merge: ``sum`` or ``product`` of the two outputs, merged = channels; ``concat`` along channels, ``ahead`` first,
            merged = 2 channels; or ``quasi-separable``: the sum where what the states give is delayed by one frame, each in
            its direction, and D x is not (Hwang et al. 2024, arXiv 2407.09941, eq. 2, with the diagonal D).
        softplus: as in :func:`vdmbench.ops.selective_scan`, for both.
        backend: ``triton`` (CUDA; fused), ``numba`` (CPU; fused), ``reference`` (two loops over frames), or ``auto``, the
            first of these that can run; by name alone ``mamba_ssm`` (CUDA; two scans of that package).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the merge is unknown, or the backend is unknown or cannot run.
    """
    if merge not in get_args(Merge):
        raise ValueError(f"merge must be one of {', '.join(get_args(Merge))}, got '{merge}'")
    op = "bidirectional_selective_scan"
    ahead.check(op, gate, "ahead.")
    back.check(op, gate, "back.")
    for name in ("x", "A"):
        one, other = getattr(ahead, name), getattr(back, name)
        if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
            raise ValueError(
                f"{op} takes back.{name} like ahead.{name}, {tuple(one.shape)} {one.dtype} on {one.device}, got "
                f"{tuple(other.shape)} {other.dtype} on {other.device}"
            )
    y: Tensor = compute(op, backend, ahead.x, ahead, back, gate, merge, softplus)
    return y


def _reference(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return _composed(reference_scan, ahead, back, gate, merge, softplus)


def _mamba_ssm(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return _composed(mamba_ssm_scan, ahead, back, gate, merge, softplus)


def _composed(
    scan: Callable[..., Tensor], ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool
) -> Tensor:
    """Two calls of a scan of one direction, merged."""
    if merge != "quasi-separable":
        return _merged(scan(ahead, None, softplus, False), scan(back, None, softplus, True), gate, merge)
    below = F.pad(scan(ahead._replace(D=None), None, softplus, False)[:, :-1], (0, 0, 1, 0))
    above = F.pad(scan(back._replace(D=None), None, softplus, True)[:, 1:], (0, 0, 0, 1))
    for direction in (ahead, back):
        if direction.D is not None:
            below = below + (direction.D * direction.x).to(below.dtype)
    return _merged(below, above, gate, merge)


def _merged(ahead: Tensor, back: Tensor, gate: Tensor | None, merge: str) -> Tensor:
    weight = None if gate is None else F.silu(gate).to(ahead.dtype)
    if merge == "concat":
        return torch.cat([y if weight is None else y * weight for y in (ahead, back)], -1)
    y = ahead * back if merge == "product" else ahead + back
    return y if weight is None else y * weight


def _numba(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return numba_scan(ahead, back, gate, merge, softplus, False)


def _triton(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> Tensor:
    return triton_scan(ahead, back, gate, merge, softplus, False)


def _triton_refuses(ahead: Direction, back: Direction, gate: Tensor | None, merge: str, softplus: bool) -> str | None:
    return refuses(*ahead, *back, gate)


declare(
    "bidirectional_selective_scan",
    Backend("triton", _triton, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("numba", _numba, ("cpu",), numba_missing),
    Backend("mamba_ssm", _mamba_ssm, ("cuda",), mamba_ssm_missing, by_name_only=True, package="mamba-ssm"),
    Backend("reference", _reference),
)
