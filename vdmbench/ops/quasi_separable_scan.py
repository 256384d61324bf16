"""Both directions of time as one quasi-separable matrix: the scan of Hydra."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.mamba_ssm_ssd import mamba_ssm_ssd_missing
from vdmbench.ops.numba_scan import numba_missing
from vdmbench.ops.parts import check_parts
from vdmbench.ops.ssd_scan import ssd_scan
from vdmbench.ops.triton_scan import DEVICES, triton_missing
from vdmbench.ops.triton_ssd import refuses, triton_ssd


class Side(NamedTuple):
    """What one triangle of the matrix is made of, as in :func:`vdmbench.ops.ssd_scan`."""

    dt: Float[Tensor, "batch frames heads"]
    B: Float[Tensor, "batch frames groups state"]
    C: Float[Tensor, "batch frames groups state"]


def quasi_separable_scan(
    x: Float[Tensor, "batch frames heads head_dim"],
    past: Side,
    future: Side,
    A: Float[Tensor, " heads"],
    dt_bias: Float[Tensor, " heads"],
    diagonal: Float[Tensor, "batch frames heads"],
    *,
    backend: str = "auto",
) -> Float[Tensor, "batch frames heads head_dim"]:
    """QS(x) = shift(SS(x)) + flip(shift(SS(flip x))) + diagonal x (Hwang et al. 2024, arXiv 2407.09941, eq. 2 and sec. 3.2).

    SS is the scan of Mamba-2. Delayed by one frame, it is the matrix's part strictly below the diagonal, and the scan against
    time the part strictly above it, so that the diagonal is free. y has the dtype of x.

    Args:
        backend: ``triton`` (CUDA; both scans in one launch a pass), or two scans by a backend of
            :func:`vdmbench.ops.ssd_scan`: ``numba``, ``chunked``, ``reference``, ``auto``, or by name alone ``mamba_ssm``.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown or cannot run.
    """
    op = "quasi_separable_scan"
    if x.dim() != 4 or past.B.dim() != 4 or x.numel() == 0 or past.B.numel() == 0 or x.shape[2] % past.B.shape[2]:
        raise ValueError(
            f"{op} takes x (batch, frames, heads, head_dim) and past.B (batch, frames, groups, state), neither empty, heads a "
            f"multiple of groups, got {tuple(x.shape)} and {tuple(past.B.shape)}"
        )
    steps, maps = tuple(x.shape[:3]), (*x.shape[:2], *past.B.shape[2:])
    shapes = {"dt": steps, "B": maps, "C": maps}
    sides = {
        f"{name}.{part}": (getattr(side, part), shape)
        for name, side in (("past", past), ("future", future))
        for part, shape in shapes.items()
    }
    heads = steps[2:]
    check_parts(op, {"x": (x, x.shape), **sides, "A": (A, heads), "dt_bias": (dt_bias, heads), "diagonal": (diagonal, steps)})
    y: Tensor = compute(op, backend, x, x, past, future, A, dt_bias, diagonal)
    return y


def _triton(x: Tensor, past: Side, future: Side, A: Tensor, dt_bias: Tensor, diagonal: Tensor) -> Tensor:
    ahead, back = ((x, side.dt, A, side.B, side.C, dt_bias) for side in (past, future))
    return triton_ssd(ahead, back, diagonal, True, False)


def _triton_refuses(x: Tensor, past: Side, *_: Side | Tensor) -> str | None:
    return refuses(x, past.B)


def _two_scans(backend: str, x: Tensor, past: Side, future: Side, A: Tensor, dt_bias: Tensor, diagonal: Tensor) -> Tensor:
    below = ssd_scan(x, past.dt, A, past.B, past.C, dt_bias=dt_bias, backend=backend)
    above = ssd_scan(x, future.dt, A, future.B, future.C, dt_bias=dt_bias, reverse=True, backend=backend)
    shifted = F.pad(below[:, :-1], (0, 0, 0, 0, 1, 0)) + F.pad(above[:, 1:], (0, 0, 0, 0, 0, 1))
    return shifted + diagonal.to(x.dtype)[..., None] * x


declare(
    "quasi_separable_scan",
    Backend("triton", _triton, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("numba", partial(_two_scans, "numba"), ("cpu",), numba_missing),
    Backend("chunked", partial(_two_scans, "chunked")),
    Backend(
        "mamba_ssm", partial(_two_scans, "mamba_ssm"), ("cuda",), mamba_ssm_ssd_missing, by_name_only=True, package="mamba-ssm"
    ),
    Backend("reference", partial(_two_scans, "reference")),
)
