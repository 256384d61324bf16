"""The SSD scan by the Triton kernels of the mamba-ssm package; on fake tensors, what they allocate."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

_INSTALL = "pip install --no-build-isolation mamba-ssm (compiles for many minutes, against the torch that is installed)"
_CHUNK = 64
"""Frames of a chunk."""
_GRID = 65_535
"""Most blocks along the second and third axis of a CUDA grid."""


@cache
def mamba_ssm_ssd_missing() -> str | None:
    """None where the module of the kernels imports, else how to install it."""
    try:
        importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    except ImportError as error:
        return f"mamba_ssm.ops.triton.ssd_combined does not import ({error}); {_INSTALL}"
    return None


def mamba_ssm_ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    dt_bias: Tensor | None,
    softplus: bool,
    reverse: bool,
) -> Tensor:
    """As :func:`vdmbench.ops.ssd_scan`; the kernels have no reverse, so frames are flipped.

    They put batch times chunks on an axis of the grid that ends at 65,535: a larger batch is cut.
    """
    rows = max(1, _GRID // -(-x.shape[1] // _CHUNK))
    if len(x) > rows:
        cut = zip(*(part.split(rows) for part in (x, dt, B, C)), strict=True)
        return torch.cat([mamba_ssm_ssd(x, dt, A, B, C, D, dt_bias, softplus, reverse) for x, dt, B, C in cut])
    moved, steps, B, C = ((part.flip(1) if reverse else part).to(x.dtype).contiguous() for part in (x, dt, B, C))
    A, D, dt_bias = A.float(), None if D is None else D.float(), None if dt_bias is None else dt_bias.float()
    if isinstance(x, FakeTensor):
        y: Tensor = _Planned.apply(moved, steps, A, B, C, D, dt_bias)
    else:
        run = importlib.import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
        y = run(moved, steps, A, B, C, _CHUNK, D=D, dt_bias=dt_bias, dt_softplus=softplus)
    return y.flip(1) if reverse else y


class _Planned(torch.autograd.Function):
    """The memory of the package's autograd function (mamba-ssm 2.3): what it allocates lives here as long as it does there."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, dt_bias: Tensor | None
    ) -> Tensor:
        total, steps, left, scores = _of_chunks(x, B)
        y, entering = torch.empty_like(x), left.to(x.dtype)  # the states that chunks begin with
        ctx.save_for_backward(y, x, dt, total, A, B, C, D, dt_bias)
        del steps, left, scores, entering
        return y

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        _, x, dt, _, A, B, C, D, dt_bias = ctx.saved_tensors
        total, steps, left, scores = _of_chunks(x, B)
        d_left = torch.empty_like(left)
        entering, d_entering = left.to(x.dtype), d_left.to(x.dtype)
        del left, d_left
        d_scores = torch.empty_like(scores)
        d_sums = [torch.empty_like(part, dtype=torch.float32) for part in (B, C)]  # _chunk_state_bwd_db, _chunk_scan_bwd_dC
        found = [None if part is None else torch.empty_like(part) for part in (x, dt, A, B, C, D, dt_bias)]
        del total, steps, scores, entering, d_entering, d_scores, d_sums
        return tuple(found)


def _of_chunks(x: Tensor, B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What both passes compute of each chunk, in float32: sums of steps, steps, the state it leaves, and the scores C B^T."""
    (batch, frames, heads, dim), (groups, state) = x.shape, B.shape[2:]
    chunks = -(-frames // _CHUNK)

    def empty(*shape: int) -> Tensor:
        return x.new_empty(shape, dtype=torch.float32)

    a_frame = (batch, heads, chunks, _CHUNK)
    left = empty(batch, chunks, heads, dim, state)
    return empty(*a_frame), empty(*a_frame), left, empty(batch, chunks, groups, _CHUNK, _CHUNK)
