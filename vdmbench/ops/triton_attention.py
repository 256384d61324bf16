"""Attention with a bias on CUDA as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_attention_kernels`.

PyTorch's fused kernels write the gradient of a bias for every batch element, (batch, heads, frames, frames), before they sum
it; these sum it in as many parts as fit some room, in a fixed order. One launch a pass. Between the passes are kept the
inputs, the output, which lies as the linear map after it wants it, and a number a query.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.triton_scan import features_adjacent

_PROGRAMS = 1024
"""About as many programs as a backward pass has at least, where there are so many clips."""
_ROOM = 1 << 23
"""Most numbers of the bias' gradient in parts, but where one part has more."""
_TILE, _TILE_OF_WIDE_HEADS, _TILE_OF_FLOAT32 = 64, 32, 16
_LEAST = 16
"""Tensor cores take no side of a matrix below this."""
MOST_FEATURES = 128
"""Of a head: more do not fit the registers."""


def refuses(q: Tensor) -> str | None:
    """Why the kernels do not take these, in one line; None where they do."""
    if q.dtype is torch.float64:
        return "it computes in float32, and does not take float64; use 'sdpa'"
    if q.shape[-1] > MOST_FEATURES:
        return f"it takes heads of at most {MOST_FEATURES} features, not {q.shape[-1]}; use 'sdpa'"
    return None


def triton_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool) -> Tensor:
    """As :func:`vdmbench.ops.attention`; scores and their softmax in float32."""
    mixed: Tensor = torch.ops.vdmbench.triton_attention(q, k, v, bias, causal)[0]
    return mixed


_INPUTS = "Tensor q, Tensor k, Tensor v, Tensor bias, bool causal"
torch.library.define("vdmbench::triton_attention", f"({_INPUTS}) -> (Tensor, Tensor)")
torch.library.define(
    "vdmbench::triton_attention_backward", f"(Tensor d_out, Tensor out, Tensor sums, {_INPUTS}, bool biased) -> Tensor[]"
)


def _like_heads(q: Tensor) -> Tensor:
    """(batch, heads, frames, head_dim) whose heads lie side by side in a frame."""
    return q.new_empty(q.transpose(1, 2).shape).transpose(1, 2)


def _outputs(q: Tensor) -> tuple[Tensor, Tensor]:
    return _like_heads(q), q.new_empty(q.shape[:3], dtype=torch.float32)


@torch.library.register_fake("vdmbench::triton_attention")
def _(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    return _outputs(q)


@torch.library.impl("vdmbench::triton_attention", ("CPU", "CUDA"))
def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    from vdmbench.ops import triton_attention_kernels

    out, sums = _outputs(q)
    batch, heads, frames, dim = q.shape
    constants = _constants(q)
    with torch.cuda.device_of(out):
        triton_attention_kernels.forward[(batch * heads * -(-frames // constants["TILE"]),)](
            *_with_strides(out),
            sums,
            *_with_strides(q, k, v),
            bias.contiguous(),
            frames,
            heads,
            dim**-0.5,
            CAUSAL=causal,
            **constants,
            num_warps=4,
        )
    return out, sums


def _backward_outputs(q: Tensor, biased: bool) -> list[Tensor]:
    """Gradients of q, k and v, and of the bias in a part a slot; empty where it is not asked for."""
    batch, heads, frames, _ = q.shape
    tiles = -(-frames // _constants(q)["TILE"])
    slots = min(batch, max(1, -(-_PROGRAMS // (heads * tiles))))
    if biased:
        slots = max(1, min(slots, _ROOM // (heads * frames * frames)))
    numbers = frames if biased else 0
    parts = q.new_zeros((slots, heads, numbers, numbers), dtype=torch.float32)
    return [*(_like_heads(q) for _ in range(3)), parts]


@torch.library.register_fake("vdmbench::triton_attention_backward")
def _(
    d_out: Tensor, out: Tensor, sums: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool, biased: bool
) -> list[Tensor]:
    return _backward_outputs(q, biased)


@torch.library.impl("vdmbench::triton_attention_backward", ("CPU", "CUDA"))
def _attend_backward(
    d_out: Tensor, out: Tensor, sums: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool, biased: bool
) -> list[Tensor]:
    from vdmbench.ops import triton_attention_kernels

    found = _backward_outputs(q, biased)
    parts = found[3]
    batch, heads, frames, dim = q.shape
    constants = _constants(q)
    tiles = -(-frames // constants["TILE"])
    with torch.cuda.device_of(d_out):
        triton_attention_kernels.backward[(len(parts) * heads * tiles,)](
            *_with_strides(*found[:3]),
            parts,
            *_with_strides(d_out.to(q.dtype), out),
            sums,
            *_with_strides(q, k, v),
            bias.contiguous(),
            batch,
            frames,
            heads,
            len(parts),
            dim**-0.5,
            CAUSAL=causal,
            BIASED=biased,
            ONE=tiles == 1,
            **constants,
            num_warps=8 if constants["TILE"] == _TILE else 4,
            num_stages=1,
        )
    return found


def _constants(q: Tensor) -> dict[str, int]:
    _, _, frames, dim = q.shape
    width = _power(dim)
    most = _TILE_OF_FLOAT32 if q.dtype is torch.float32 else _TILE if width <= 64 else _TILE_OF_WIDE_HEADS
    return {"DIM": dim, "WIDTH": width, "TILE": min(most, _power(frames))}


def _power(size: int) -> int:
    """The power of two that holds so many, of those that a matrix product takes."""
    return max(_LEAST, 1 << (size - 1).bit_length())


def _with_strides(*tensors: Tensor) -> list[Any]:
    """Each with its strides of batch, heads and frames, features being adjacent."""
    adjacent = [features_adjacent(each) for each in tensors]
    return [part for each in adjacent for part in (each, each.stride()[:3])]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, bias, ctx.causal = inputs
    ctx.save_for_backward(q, k, v, bias, *output)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, d_out: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, bias, out, sums = ctx.saved_tensors
    biased = ctx.needs_input_grad[3]
    *found, parts = torch.ops.vdmbench.triton_attention_backward(d_out, out, sums, q, k, v, bias, ctx.causal, biased)
    return (*found, parts.sum(0).to(bias.dtype) if biased else None, None)


torch.library.register_autograd("vdmbench::triton_attention", _differentiate, setup_context=_setup)
