"""The short convolution on CUDA devices as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_conv_kernels`.

One launch a pass; between the passes its inputs alone are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.triton_scan import features_adjacent

_SLOTS = 512
"""Most clips that a backward pass works on at once, for each block of channels."""
_ROWS, _BLOCK = 16, 64
"""Frames of a tile, and most channels of a program."""


def refuses(x: Tensor) -> str | None:
    """Why the kernels do not take it, in one line; None where they do."""
    return "it computes in float32, and does not take float64; use 'torch'" if x.dtype is torch.float64 else None


def triton_conv(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.causal_conv1d`."""
    bias = weight.new_zeros(weight.shape[:1]) if bias is None else bias
    y: Tensor = torch.ops.vdmbench.triton_conv(x, weight, bias, silu, ahead, reverse)
    return y


_INPUTS = "Tensor x, Tensor weight, Tensor bias, bool silu, int ahead, bool reverse"
torch.library.define("vdmbench::triton_conv", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::triton_conv_backward", f"(Tensor d_out, {_INPUTS}) -> Tensor[]")


@torch.library.register_fake("vdmbench::triton_conv")
def _(x: Tensor, weight: Tensor, bias: Tensor, silu: bool, ahead: int, reverse: bool) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.impl("vdmbench::triton_conv", ("CPU", "CUDA"))
def _convolve(x: Tensor, weight: Tensor, bias: Tensor, silu: bool, ahead: int, reverse: bool) -> Tensor:
    from vdmbench.ops import triton_conv_kernels

    out, x = x.new_empty(x.shape), features_adjacent(x)
    batch, frames, channels = x.shape
    block = _block(channels)
    with torch.cuda.device_of(out):
        triton_conv_kernels.forward[(batch * -(-frames // _ROWS) * -(-channels // block),)](
            out,
            x,
            weight.contiguous(),
            bias.contiguous(),
            x.stride(0),
            x.stride(1),
            frames,
            channels,
            **_constants(weight, silu, ahead, reverse, block),
        )
    return out


def _backward_outputs(x: Tensor, weight: Tensor) -> list[Tensor]:
    """The gradients, those of filter and bias in a part a slot, then the gradient of what SiLU takes."""
    (batch, frames, channels), taps = x.shape, weight.shape[1]
    slots, block = min(batch, _SLOTS), _block(channels)

    def numbers(*shape: int) -> Tensor:
        return x.new_zeros(shape, dtype=torch.float32)

    asked = x.new_empty((slots * -(-channels // block), frames, block), dtype=torch.float32)
    return [x.new_empty(x.shape), numbers(slots, taps, channels), numbers(slots, channels), asked]


@torch.library.register_fake("vdmbench::triton_conv_backward")
def _(d_out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, silu: bool, ahead: int, reverse: bool) -> list[Tensor]:
    return _backward_outputs(x, weight)


@torch.library.impl("vdmbench::triton_conv_backward", ("CPU", "CUDA"))
def _convolve_backward(
    d_out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, silu: bool, ahead: int, reverse: bool
) -> list[Tensor]:
    from vdmbench.ops import triton_conv_kernels

    dx, d_weight, d_bias, asked = found = _backward_outputs(x, weight)
    x, d_out = features_adjacent(x), features_adjacent(d_out)
    batch, frames, channels = x.shape
    block, slots = asked.shape[2], d_bias.shape[0]
    with torch.cuda.device_of(d_out):
        triton_conv_kernels.backward[(asked.shape[0],)](
            d_out,
            d_out.stride(0),
            d_out.stride(1),
            x,
            weight.contiguous(),
            bias.contiguous(),
            x.stride(0),
            x.stride(1),
            dx,
            d_weight,
            d_bias,
            asked,
            batch,
            frames,
            channels,
            slots,
            **_constants(weight, silu, ahead, reverse, block),
        )
    return found


def _constants(weight: Tensor, silu: bool, ahead: int, reverse: bool, block: int) -> dict[str, int | bool]:
    return {
        "TAPS": weight.shape[1],
        "AHEAD": ahead,
        "SILU": silu,
        "REVERSE": reverse,
        "ROWS": _ROWS,
        "BLOCK": block,
        "num_warps": 4,
    }


def _block(channels: int) -> int:
    return min(_BLOCK, 1 << (channels - 1).bit_length())


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, silu, ahead, reverse = inputs
    ctx.flags = silu, ahead, reverse
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Any, ...]:
    x, weight, bias = ctx.saved_tensors
    dx, d_weight, d_bias, _ = torch.ops.vdmbench.triton_conv_backward(d_out, x, weight, bias, *ctx.flags)
    return dx, d_weight.sum(0).T.to(weight.dtype), d_bias.sum(0).to(bias.dtype), None, None, None


torch.library.register_autograd("vdmbench::triton_conv", _differentiate, setup_context=_setup)
