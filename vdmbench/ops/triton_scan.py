"""The selective scans on CUDA devices as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_kernels`.

Operators of ``torch.library``, so that fake tensors pass through them. Between the passes they hold their inputs and the states
between tiles of frames. Triton is imported when a scan first runs. Under ``TRITON_INTERPRET=1``, set before Triton is first
imported, the kernels run as Python on CPU tensors: slow, and enough to check them where there is no GPU.
"""

from __future__ import annotations

import importlib.util
import math
import os
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.direction import Direction

DEVICES = ("cuda", "cpu") if os.environ.get("TRITON_INTERPRET") == "1" else ("cuda",)
"""Device types that the kernels run on in this process."""
_GROUPS = 512
"""Most groups of batch elements in a backward pass, hence most partial gradients of a parameter."""
_BLOCK, _BACKWARD_BLOCK = 32, 128
"""Most channels of a program; in the backward pass, fewer blocks leave fewer partial gradients of B and C."""
_CHUNK = 16
"""Frames between kept states, and the frames of a tile."""
_MERGES = {"single": 0, "sum": 1, "product": 2, "concat": 3}


def triton_missing() -> str | None:
    """None where Triton is installed, else how to install it."""
    return None if importlib.util.find_spec("triton") else "triton is not installed; pip install triton (Linux only)"


def triton_scan(ahead: Direction, back: Direction | None, gate: Tensor | None, merge: str, softplus: bool,
                reverse: bool) -> Tensor:
    """One scan (``back`` None, merge ``single``) or two that merge, in one launch.

    Computed in float32; y and every gradient have the dtype of what they belong to. In half precision the output of the first
    of two directions is rounded before it merges.

    Raises:
        ValueError: a tensor is wider than float32.
    """
    tensors = [[] if direction is None else _filled(direction) for direction in (ahead, back)]
    inputs = [*tensors[0], *tensors[1], *([] if gate is None else [gate])]
    if any(tensor.dtype is torch.float64 for tensor in inputs):
        raise ValueError("backend 'triton' computes in float32, got torch.float64; use backend='reference'")
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return torch.ops.vdmbench.triton_scan(*tensors, gate, _MERGES[merge], softplus, reverse, keep)[0]


def _filled(direction: Direction) -> list[Tensor]:
    x, dt, A, B, C, D, dt_bias = direction
    none = A.new_zeros(A.shape[0])
    return [x, dt, A, B, C, none if D is None else D, none if dt_bias is None else dt_bias]


_INPUTS = "Tensor[] ahead, Tensor[] back, Tensor? gate, int how, bool softplus, bool reverse"
torch.library.define("vdmbench::triton_scan", f"({_INPUTS}, bool keep) -> (Tensor, Tensor)")
torch.library.define("vdmbench::triton_scan_backward", f"(Tensor d_out, Tensor kept, {_INPUTS}) -> Tensor[]")


@torch.library.impl("vdmbench::triton_scan", ("CPU", "CUDA"))
def _scan(ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool,
          keep: bool) -> tuple[Tensor, Tensor]:
    """The merged output, and the states between tiles, (directions, batch, tiles - 1, state, channels) in float32."""
    out, kept = _outputs(ahead, back, how, keep)
    _launch_forward(out, kept, ahead, back, gate, how, softplus, reverse, keep)
    return out, kept if keep else kept.new_empty(0)


@torch.library.register_fake("vdmbench::triton_scan")
def _(ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool,
      keep: bool) -> tuple[Tensor, Tensor]:
    out, kept = _outputs(ahead, back, how, keep)
    return out, kept if keep else kept.new_empty(0)


def _outputs(ahead: list[Tensor], back: list[Tensor], how: int, keep: bool) -> tuple[Tensor, Tensor]:
    x, A = ahead[0], ahead[2]
    batch, frames, channels = x.shape
    width = 2 * channels if how == _MERGES["concat"] else channels
    slots = (frames - 1) // _CHUNK if keep else 1  # one is overwritten tile by tile
    kept = x.new_empty((2 if back else 1, batch, slots, A.shape[1], channels), dtype=torch.float32)
    return x.new_empty(batch, frames, width), kept


def _launch_forward(out: Tensor, kept: Tensor, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int,
                    softplus: bool, reverse: bool, keep: bool) -> None:
    from vdmbench.ops import triton_kernels
    (batch, frames, channels), states = ahead[0].shape, ahead[2].shape[1]
    first, steps = _arguments(ahead)
    second, second_steps = _arguments(back) if back else (first, steps)
    gates = first[0] if gate is None else _channels_adjacent(gate)
    block = min(_BLOCK, 1 << (channels - 1).bit_length())
    grid = (batch * -(-channels // block),)
    with torch.cuda.device_of(out):
        triton_kernels.forward[grid](
            out, kept, first, second, gates, gates.stride(0), batch, frames, AHEAD_STRIDES=steps, BACK_STRIDES=second_steps,
            GATE_STRIDE=gates.stride(1), CHANNELS=channels, STATES=states, HOW=how, GATED=gate is not None,
            RECTIFIED=softplus, REVERSE=reverse, KEEP=keep, CHUNK=_CHUNK, BLOCK=block, num_warps=1, num_stages=1)


@torch.library.impl("vdmbench::triton_scan_backward", ("CPU", "CUDA"))
def _scan_backward(d_out: Tensor, kept: Tensor, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int,
                   softplus: bool, reverse: bool) -> list[Tensor]:
    """Gradients of each tensor of ``ahead``, of each of ``back``, and of the gate where there is one."""
    from vdmbench.ops import triton_kernels
    (batch, frames, channels), states = ahead[0].shape, ahead[2].shape[1]
    groups = min(batch, _GROUPS)
    block = min(_BACKWARD_BLOCK, 1 << (channels - 1).bit_length())
    blocks = -(-channels // block)
    sides = kept
    if how == _MERGES["product"]:  # each direction's gradient asks for the other's output
        sides = kept.new_empty(batch, frames, 2 * channels)
        carried = kept.new_empty(2, batch, 1, states, channels)
        _launch_forward(sides, carried, ahead, back, None, _MERGES["concat"], softplus, reverse, False)
    first, steps = _arguments(ahead)
    second, second_steps = _arguments(back) if back else (first, steps)
    gates = first[0] if gate is None else _channels_adjacent(gate)
    d_gate = gates if gate is None else torch.empty_like(gate, memory_format=torch.contiguous_format)
    d_ahead = _gradients(ahead, groups, blocks)
    d_back = _gradients(back, groups, blocks) if back else d_ahead
    d_merged = _channels_adjacent(d_out)
    carry = kept.new_empty(groups, states, channels)
    with torch.cuda.device_of(d_out):
        triton_kernels.backward[(groups * blocks,)](
            d_merged, d_merged.stride(0), sides, kept, carry, first, second, gates, gates.stride(0), d_ahead, d_back, d_gate,
            batch, frames, groups, D_OUT_STRIDE=d_merged.stride(1), AHEAD_STRIDES=steps, BACK_STRIDES=second_steps,
            GATE_STRIDE=gates.stride(1), CHANNELS=channels, STATES=states, HOW=how, GATED=gate is not None,
            RECTIFIED=softplus, REVERSE=reverse, CHUNK=_CHUNK, BLOCK=block, num_warps=max(1, block // 32), num_stages=1)
    found = _summed(d_ahead, ahead) + (_summed(d_back, back) if back else [])
    return found if gate is None else [*found, d_gate]


@torch.library.register_fake("vdmbench::triton_scan_backward")
def _(d_out: Tensor, kept: Tensor, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool,
      reverse: bool) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in [*ahead, *back, *([] if gate is None else [gate])]]


def _channels_adjacent(tensor: Tensor) -> Tensor:
    """The tensor itself where neighbouring channels are neighbours in memory, as in any slice of a projection; else a copy."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _arguments(direction: list[Tensor]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """A direction as kernels take it, and the frame strides of x, dt, B and C."""
    x, dt, A, B, C, D, dt_bias = direction
    x, dt, B, C = sequences = [_channels_adjacent(tensor) for tensor in (x, dt, B, C)]
    exponent = (A.float().T / math.log(2)).contiguous()  # exp(delta A) = 2^(delta A / ln 2)
    batch_strides = tuple(tensor.stride(0) for tensor in sequences)
    return ((x, dt, exponent, B, C, D.contiguous(), dt_bias.contiguous(), batch_strides),
            tuple(tensor.stride(1) for tensor in sequences))


def _gradients(direction: list[Tensor], groups: int, blocks: int) -> tuple[Tensor, ...]:
    x, dt, A, B, C, *_ = direction

    def empty(*shape: int) -> Tensor:
        return x.new_empty(shape, dtype=torch.float32)

    dA, dD, ddt_bias = (empty(groups, *shape).zero_() for shape in (A.T.shape, A.shape[:1], A.shape[:1]))
    return x.new_empty(x.shape), dt.new_empty(dt.shape), dA, empty(blocks, *B.shape), empty(blocks, *C.shape), dD, ddt_bias


def _summed(gradients: tuple[Tensor, ...], direction: list[Tensor]) -> list[Tensor]:
    """Gradients with their parts added up, in order, in the dtype of what they belong to."""
    dx, ddt, dA, *parts = gradients
    dB, dC, dD, ddt_bias = (part.sum(0) for part in parts)
    return [gradient.to(tensor.dtype)
            for gradient, tensor in zip((dx, ddt, dA.sum(0).T.contiguous(), dB, dC, dD, ddt_bias), direction, strict=True)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ahead, back, gate, *ctx.flags, _ = inputs
    ctx.counts = len(ahead), len(back)
    ctx.save_for_backward(*ahead, *back, gate, output[1])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, d_out: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    *tensors, gate, kept = ctx.saved_tensors
    count = ctx.counts[0]
    ahead, back = tensors[:count], tensors[count:]
    gradients = torch.ops.vdmbench.triton_scan_backward(d_out, kept, ahead, back, gate, *ctx.flags)
    d_gate = gradients[-1] if gate is not None else None
    return gradients[:count], gradients[count:count + len(back)], d_gate, None, None, None, None


torch.library.register_autograd("vdmbench::triton_scan", _differentiate, setup_context=_setup)
