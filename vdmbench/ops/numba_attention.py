"""Attention of few frames on the CPU as PyTorch operators over :mod:`vdmbench.ops.attention_kernels`.

They save queries, keys and values for the backward pass, as they are before the rotation, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdmbench.ops.numba_linear_attention import as_array, beside, wide_dtype
from vdmbench.ops.numba_scan import numba_missing, run_kernel

FRAMES = 64
"""Most frames: of more, PyTorch's kernels, which go by blocks, are as fast, and linear attention is cheaper by its context."""


def refuses(q: Tensor) -> str | None:
    """Why the kernels do not take these queries; None where they do."""
    if q.device.type != "cpu":
        return f"it runs on cpu tensors, not on {q.device.type}"
    if (missing := numba_missing()) is not None:
        return missing
    if q.shape[2] > FRAMES:
        return f"it takes up to {FRAMES} frames"
    return None


def numba_attention(
    q: Tensor, k: Tensor, v: Tensor, rotate: Callable[[Tensor], Tensor] | None, *, softmax: bool, causal: bool
) -> Tensor:
    """softmax(q k^T / sqrt(features)) v, or where not ``softmax`` the product of the softmax of q over features and of k over
    frames with v, each behind or before the rotation of both; in the dtype of v.

    ``rotate`` is linear, turns pairs of adjacent features, and each frame by itself.
    """
    wide, features = wide_dtype(q), q.shape[-1]
    turn = None if rotate is None else _turned_units(rotate, q.shape[2], features, wide)
    mixed: Tensor = torch.ops.vdmbench.numba_attention(q, k, v, turn, softmax, causal)
    return mixed


def _turned_units(rotate: Callable[[Tensor], Tensor], frames: int, features: int, dtype: torch.dtype) -> Tensor:
    """(2, frames, features): what each feature is multiplied by, and the other of its pair, as the rotation of the unit vectors
    of the pairs' first features says."""
    units = torch.zeros(frames, features, dtype=dtype)
    units[:, ::2] = 1
    turned = rotate(units[None, None])[0, 0].detach()
    cosine, sine = turned[:, ::2], turned[:, 1::2]
    return torch.stack([torch.stack([cosine, cosine], -1), torch.stack([-sine, sine], -1)]).flatten(2)


torch.library.define(
    "vdmbench::numba_attention", "(Tensor q, Tensor k, Tensor v, Tensor? turn, bool softmax, bool causal) -> Tensor"
)
torch.library.define(
    "vdmbench::numba_attention_backward",
    "(Tensor d_out, Tensor q, Tensor k, Tensor v, Tensor? turn, bool softmax, bool causal) -> Tensor[]",
)


def _lanes(wide: torch.dtype) -> int:
    from vdmbench.ops import row_kernels

    return row_kernels.lanes(wide.itemsize)


def _turn(turn: Tensor | None, wide: torch.dtype) -> np.ndarray:
    return (torch.empty(2, 0, 0, dtype=wide) if turn is None else turn.contiguous()).numpy()


@torch.library.impl("vdmbench::numba_attention", "CPU")
def _mix(q: Tensor, k: Tensor, v: Tensor, turn: Tensor | None, softmax: bool, causal: bool) -> Tensor:
    from vdmbench.ops import attention_kernels

    wide = wide_dtype(q)
    out = beside(q, wide)
    arrays = (as_array(x, wide) for x in (q, k, v))
    run_kernel(attention_kernels.forward, out.numel(), out.numpy(), *arrays, _turn(turn, wide), _lanes(wide), softmax, causal)
    return out.to(v.dtype)


@torch.library.register_fake("vdmbench::numba_attention")
def _(q: Tensor, k: Tensor, v: Tensor, turn: Tensor | None, softmax: bool, causal: bool) -> Tensor:
    return beside(v, v.dtype)


@torch.library.impl("vdmbench::numba_attention_backward", "CPU")
def _mix_backward(
    d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, turn: Tensor | None, softmax: bool, causal: bool
) -> list[Tensor]:
    from vdmbench.ops import attention_kernels

    wide = wide_dtype(q)
    found = [beside(x, wide) for x in (q, k, v)]
    arrays = [x.numpy() for x in found] + [as_array(x, wide) for x in (d_out, q, k, v)]
    run_kernel(attention_kernels.backward, q.numel(), *arrays, _turn(turn, wide), _lanes(wide), softmax, causal)
    return [gradient.to(x.dtype) for gradient, x in zip(found, (q, k, v), strict=True)]


@torch.library.register_fake("vdmbench::numba_attention_backward")
def _(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, turn: Tensor | None, softmax: bool, causal: bool) -> list[Tensor]:
    return [beside(x, x.dtype) for x in (q, k, v)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.softmax, ctx.causal = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    gradients = torch.ops.vdmbench.numba_attention_backward(d_out, *ctx.saved_tensors, ctx.softmax, ctx.causal)
    return *gradients, None, None, None


torch.library.register_autograd("vdmbench::numba_attention", _differentiate, setup_context=_setup)
