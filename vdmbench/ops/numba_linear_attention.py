"""Linear attention with softmax maps on the CPU as PyTorch operators over :mod:`vdmbench.ops.linear_attention_kernels`.

They save queries, keys and values for the backward pass, as they are, and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdmbench.ops.numba_scan import numba_missing, run_kernel


def refuses(q: Tensor) -> str | None:
    """Why the kernels do not take these queries; None where they do."""
    if q.device.type != "cpu":
        return f"it runs on cpu tensors, not on {q.device.type}"
    if (missing := numba_missing()) is not None:
        return missing
    from vdmbench.ops import row_kernels

    places, features = q.shape[2:]
    lanes = row_kernels.lanes(wide_dtype(q).itemsize)
    if places % row_kernels.STATES or features % lanes:
        return f"it takes frames in multiples of {row_kernels.STATES} and features in multiples of {lanes}"
    return None


def numba_linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q over features) (softmax(k over frames)^T v), in the dtype of v."""
    mixed: Tensor = torch.ops.vdmbench.numba_linear_attention(q, k, v)
    return mixed


torch.library.define("vdmbench::numba_linear_attention", "(Tensor q, Tensor k, Tensor v) -> Tensor")
torch.library.define("vdmbench::numba_linear_attention_backward", "(Tensor d_out, Tensor q, Tensor k, Tensor v) -> Tensor[]")


def wide_dtype(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def as_array(x: Tensor, wide: torch.dtype) -> np.ndarray:
    """As it lies, where its features are adjacent."""
    x = x.detach().to(wide)
    found: np.ndarray = (x if x.stride(-1) == 1 else x.contiguous()).numpy()
    return found


def beside(like: Tensor, dtype: torch.dtype) -> Tensor:
    """Room for (batch, heads, places, features) with the heads of a place side by side, as the map out of them wants it."""
    return like.new_empty(like.transpose(1, 2).shape, dtype=dtype).transpose(1, 2)


@torch.library.impl("vdmbench::numba_linear_attention", "CPU")
def _mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from vdmbench.ops import linear_attention_kernels

    wide = wide_dtype(q)
    out = beside(q, wide)
    run_kernel(linear_attention_kernels.forward, out.numel(), out.numpy(), *(as_array(x, wide) for x in (q, k, v)))
    return out.to(v.dtype)


@torch.library.register_fake("vdmbench::numba_linear_attention")
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return beside(v, v.dtype)


@torch.library.impl("vdmbench::numba_linear_attention_backward", "CPU")
def _mix_backward(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
    from vdmbench.ops import linear_attention_kernels

    wide = wide_dtype(q)
    found = [beside(x, wide) for x in (q, k, v)]
    arrays = [x.numpy() for x in found] + [as_array(x, wide) for x in (d_out, q, k, v)]
    run_kernel(linear_attention_kernels.backward, q.numel(), *arrays)
    return [gradient.to(x.dtype) for gradient, x in zip(found, (q, k, v), strict=True)]


@torch.library.register_fake("vdmbench::numba_linear_attention_backward")
def _(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
    return [beside(x, x.dtype) for x in (q, k, v)]


def _setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.ops.vdmbench.numba_linear_attention_backward(d_out, *ctx.saved_tensors))


torch.library.register_autograd("vdmbench::numba_linear_attention", _differentiate, setup_context=_setup)
