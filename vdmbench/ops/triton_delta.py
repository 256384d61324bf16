"""The gated delta rule on CUDA devices as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_delta_kernels`.

One launch a pass. Between the passes nothing is kept but the inputs, as they are. What the backward pass holds for a while is
among its operator's outputs, so that a plan of memory counts it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.triton_scan import features_adjacent

_ROOM = 1 << 21
"""Numbers of state that all programs of a backward pass hold at once."""
_BLOCK = 64
"""Most value features of a program in the forward pass."""
MOST_FEATURES = 128
"""Of a key or a value: more do not fit the registers."""


def refuses(k: Tensor, v: Tensor) -> str | None:
    """Why the kernels do not take these, in one line; None where they do."""
    if torch.float64 in (k.dtype, v.dtype):
        return "it computes in float32, and does not take float64; use 'chunked'"
    widest = max(k.shape[-1], v.shape[-1])
    if widest > MOST_FEATURES:
        return f"it takes heads of at most {MOST_FEATURES} features, not {widest}; use 'chunked'"
    return None


def triton_delta(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.gated_delta_scan`."""
    o: Tensor = torch.ops.vdmbench.triton_delta(q, k, v, log_decay, beta, reverse)
    return o


_INPUTS = "Tensor q, Tensor k, Tensor v, Tensor log_decay, Tensor beta, bool reverse"
torch.library.define("vdmbench::triton_delta", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::triton_delta_backward", f"(Tensor d_out, {_INPUTS}) -> Tensor[]")


@torch.library.register_fake("vdmbench::triton_delta")
def _(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    return v.new_empty(v.shape)


@torch.library.impl("vdmbench::triton_delta", ("CPU", "CUDA"))
def _scan(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    from vdmbench.ops import triton_delta_kernels

    out = v.new_empty(v.shape)
    batch, frames, heads, value = v.shape
    keys, values = _power(k.shape[3]), min(_BLOCK, _power(value))
    inputs = _inputs(q, k, v, log_decay, beta)
    with torch.cuda.device_of(out):
        triton_delta_kernels.forward[(batch * heads * -(-value // values),)](
            out,
            *inputs,
            _strides(inputs),
            frames,
            heads,
            KEY=k.shape[3],
            VALUE=value,
            KEYS=keys,
            VALUES=values,
            REVERSE=reverse,
            num_warps=_warps(keys * values),
        )
    return out


def _backward_outputs(inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """The gradients, then S before chunks of frames and before the frames of one chunk."""
    _, k, v, *_ = inputs
    batch, frames, heads, value = v.shape
    keys, values, chunk = _power(k.shape[3]), _power(value), _chunk(frames)
    programs = _programs(batch * heads, keys * values)
    states = [(programs, count, values, keys) for count in (-(-frames // chunk), chunk)]
    return [*(each.new_empty(each.shape) for each in inputs), *(v.new_empty(each, dtype=torch.float32) for each in states)]


@torch.library.register_fake("vdmbench::triton_delta_backward")
def _(d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> list[Tensor]:
    return _backward_outputs((q, k, v, log_decay, beta))


@torch.library.impl("vdmbench::triton_delta_backward", ("CPU", "CUDA"))
def _scan_backward(
    d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool
) -> list[Tensor]:
    from vdmbench.ops import triton_delta_kernels

    found = _backward_outputs((q, k, v, log_decay, beta))
    before_chunks, before_frames = found[5:]
    programs, chunk, values, keys = before_frames.shape
    batch, frames, heads, value = v.shape
    inputs, d_out = _inputs(q, k, v, log_decay, beta), features_adjacent(d_out)
    with torch.cuda.device_of(d_out):
        triton_delta_kernels.backward[(programs,)](
            d_out,
            _strides((d_out,))[0],
            before_chunks,
            before_frames,
            *inputs,
            _strides(inputs),
            tuple(found[:5]),
            batch * heads,
            frames,
            heads,
            programs,
            KEY=k.shape[3],
            VALUE=value,
            KEYS=keys,
            VALUES=values,
            REVERSE=reverse,
            CHUNK=chunk,
            num_warps=_warps(keys * values),
        )
    return found


def _power(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _chunk(frames: int) -> int:
    """About the root of the frames, where states before chunks and in a chunk are fewest."""
    return _power(math.isqrt(frames - 1) + 1)


def _programs(units: int, state: int) -> int:
    return min(units, max(1, _ROOM // state))


def _warps(state: int) -> int:
    """About 32 numbers of the state a lane."""
    return min(8, max(1, state // 1024))


def _inputs(*tensors: Tensor) -> tuple[Tensor, ...]:
    q, k, v, log_decay, beta = tensors
    return (*(features_adjacent(each) for each in (q, k, v)), log_decay, beta)


def _strides(tensors: tuple[Tensor, ...]) -> tuple[tuple[int, ...], ...]:
    """Of batch, frames and heads."""
    return tuple(each.stride()[:3] for each in tensors)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.reverse = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Any, ...]:
    found = torch.ops.vdmbench.triton_delta_backward(d_out, *ctx.saved_tensors, ctx.reverse)
    return (*found[:5], None)


torch.library.register_autograd("vdmbench::triton_delta", _differentiate, setup_context=_setup)
