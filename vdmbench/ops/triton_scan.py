"""The selective scans on CUDA devices as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_kernels`.

Operators of ``torch.library``, so that fake tensors pass through them; what they hold for a while is among their outputs, so
that a plan of memory counts it. Between the passes they hold their inputs alone, as they are. Triton is
imported when a scan first runs. Under ``TRITON_INTERPRET=1``, set before Triton is first imported, the kernels run as Python
on CPU tensors: slow, and enough to check them where there is no GPU.
"""

from __future__ import annotations

import importlib.util
import math
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vdmbench.ops.direction import Direction

DEVICES = ("cuda", "cpu") if os.environ.get("TRITON_INTERPRET") == "1" else ("cuda",)
"""Device types that the kernels run on in this process."""
_GROUPS = 512
"""Most groups of batch elements in a backward pass, hence most partial gradients of a parameter, and room for states between
tiles of so many elements."""
_BLOCK, _BACKWARD_BLOCK = 32, 128
"""Most channels of a program; in the backward pass, fewer blocks leave fewer partial gradients of B and C."""
_CHUNK = 16
"""Frames of a tile."""
_MERGES = {"single": 0, "sum": 1, "product": 2, "concat": 3, "quasi-separable": 4}
_SINGLE, _SUM, _PRODUCT, _CONCAT, _QUASI_SEPARABLE = _MERGES.values()


def triton_missing() -> str | None:
    """None where Triton is installed, else how to install it."""
    return None if importlib.util.find_spec("triton") else "triton is not installed; pip install triton (Linux only)"


def refuses(*tensors: Tensor | None) -> str | None:
    """Why the kernels do not take these, in one line; None where they do."""
    if any(tensor is not None and tensor.dtype is torch.float64 for tensor in tensors):
        return "it computes in float32, and does not take float64; use 'reference'"
    return None


def triton_scan(
    ahead: Direction, back: Direction | None, gate: Tensor | None, merge: str, softplus: bool, reverse: bool
) -> Tensor:
    """One scan (``back`` None, merge ``single``) or two that merge, in one launch.

    Computed in float32 and rounded once; y and every gradient have the dtype of what they belong to.
    """
    tensors = [[] if direction is None else _filled(direction) for direction in (ahead, back)]
    return torch.ops.vdmbench.triton_scan(*tensors, gate, _MERGES[merge], softplus, reverse)[0]


def _filled(direction: Direction) -> list[Tensor]:
    x, dt, A, B, C, D, dt_bias = direction
    none = A.new_zeros(A.shape[0])
    return [x, dt, A, B, C, none if D is None else D, none if dt_bias is None else dt_bias]


_INPUTS = "Tensor[] ahead, Tensor[] back, Tensor? gate, int how, bool softplus, bool reverse"
torch.library.define("vdmbench::triton_scan", f"({_INPUTS}) -> (Tensor, Tensor, Tensor)")
torch.library.define("vdmbench::triton_scan_backward", f"(Tensor d_out, {_INPUTS}) -> Tensor[]")


@torch.library.impl("vdmbench::triton_scan", ("CPU", "CUDA"))
def _scan(
    ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The merged output; the state before the tile at hand, (directions, batch, state, channels) in float32; and the first
    direction's output before it is rounded, where it merges and y is of half precision."""
    out, state, partial = _outputs(ahead, back, how)
    _launch_forward(out, partial, state, ahead, back, gate, how, softplus, reverse)
    return out, state, partial


@torch.library.register_fake("vdmbench::triton_scan")
def _(
    ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return _outputs(ahead, back, how)


def _outputs(ahead: list[Tensor], back: list[Tensor], how: int) -> tuple[Tensor, Tensor, Tensor]:
    x, A = ahead[0], ahead[2]
    batch, frames, channels = x.shape
    out = x.new_empty(batch, frames, 2 * channels if how == _CONCAT else channels)
    state = x.new_empty((2 if back else 1, batch, A.shape[1], channels), dtype=torch.float32)
    rounds = how not in (_SINGLE, _CONCAT) and x.dtype is not torch.float32
    return out, state, x.new_empty(x.shape if rounds else (0,), dtype=torch.float32)


def _launch_forward(
    out: Tensor,
    partial: Tensor,
    state: Tensor,
    ahead: list[Tensor],
    back: list[Tensor],
    gate: Tensor | None,
    how: int,
    softplus: bool,
    reverse: bool,
) -> None:
    from vdmbench.ops import triton_kernels

    (batch, frames, channels), states = ahead[0].shape, ahead[2].shape[1]
    first, steps = _arguments(ahead)
    second, second_steps = _arguments(back) if back else (first, steps)
    gates = first[0] if gate is None else features_adjacent(gate)
    block = min(_BLOCK, 1 << (channels - 1).bit_length())
    grid = (batch * -(-channels // block),)
    with torch.cuda.device_of(out):
        triton_kernels.forward[grid](
            out,
            partial if partial.numel() else out,
            state,
            first,
            second,
            gates,
            gates.stride(0),
            batch,
            frames,
            AHEAD_STRIDES=steps,
            BACK_STRIDES=second_steps,
            GATE_STRIDE=gates.stride(1),
            CHANNELS=channels,
            STATES=states,
            HOW=how,
            GATED=gate is not None,
            RECTIFIED=softplus,
            REVERSE=reverse,
            CHUNK=_CHUNK,
            BLOCK=block,
            num_warps=1,
            num_stages=1,
        )


class _Buffers(NamedTuple):
    """What a backward pass writes: gradients, those of parameters in parts, and what it holds on the way."""

    ahead: tuple[Tensor, ...]
    back: tuple[Tensor, ...]
    gate: Tensor | None
    d_partial: Tensor
    sides: Tensor
    carried: Tensor
    between: Tensor
    carry: Tensor

    @classmethod
    def of(cls, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int) -> _Buffers:
        x, A = ahead[0], ahead[2]
        (batch, frames, channels), states = x.shape, A.shape[1]
        groups, blocks = min(batch, _GROUPS), -(-channels // _backward_block(channels))

        def empty(*shape: int) -> Tensor:
            return x.new_empty(shape, dtype=torch.float32)

        adds = gate is not None and gate.dtype is not torch.float32 and how not in (_SINGLE, _PRODUCT)
        tiles = -(-(frames + (how == _QUASI_SEPARABLE)) // _CHUNK)
        product = how == _PRODUCT  # each direction's gradient asks for the other's output
        return cls(
            _gradients(ahead, groups, blocks),
            _gradients(back, groups, blocks) if back else (),
            None if gate is None else torch.empty_like(gate, memory_format=torch.contiguous_format),
            empty(*x.shape) if adds else empty(0),
            empty(batch, frames, 2 * channels) if product else empty(0),
            empty(2, batch, states, channels) if product else empty(0),
            empty(groups, tiles - 1, states, channels),
            empty(groups, states, channels),
        )

    def flat(self) -> list[Tensor]:
        gate = [] if self.gate is None else [self.gate]
        return [*self.ahead, *self.back, *gate, self.d_partial, self.sides, self.carried, self.between, self.carry]


@torch.library.impl("vdmbench::triton_scan_backward", ("CPU", "CUDA"))
def _scan_backward(
    d_out: Tensor,
    ahead: list[Tensor],
    back: list[Tensor],
    gate: Tensor | None,
    how: int,
    softplus: bool,
    reverse: bool,
) -> list[Tensor]:
    """Gradients of each tensor of ``ahead``, of each of ``back``, and of the gate where there is one; then what was held."""
    from vdmbench.ops import triton_kernels

    (batch, frames, channels), states = ahead[0].shape, ahead[2].shape[1]
    block = _backward_block(channels)
    groups, blocks = min(batch, _GROUPS), -(-channels // block)
    buffers = _Buffers.of(ahead, back, gate, how)
    if how == _PRODUCT:
        _launch_forward(buffers.sides, buffers.d_partial, buffers.carried, ahead, back, None, _CONCAT, softplus, reverse)
    first, steps = _arguments(ahead)
    second, second_steps = _arguments(back) if back else (first, steps)
    gates = first[0] if gate is None else features_adjacent(gate)
    d_gate = gates if buffers.gate is None else buffers.gate
    d_merged = features_adjacent(d_out)
    with torch.cuda.device_of(d_out):
        triton_kernels.backward[(groups * blocks,)](
            d_merged,
            d_merged.stride(0),
            buffers.sides,
            buffers.between,
            buffers.carry,
            first,
            second,
            gates,
            gates.stride(0),
            buffers.ahead,
            buffers.back or buffers.ahead,
            d_gate,
            buffers.d_partial if buffers.d_partial.numel() else d_gate,
            batch,
            frames,
            groups,
            D_OUT_STRIDE=d_merged.stride(1),
            AHEAD_STRIDES=steps,
            BACK_STRIDES=second_steps,
            GATE_STRIDE=gates.stride(1),
            CHANNELS=channels,
            STATES=states,
            HOW=how,
            GATED=gate is not None,
            RECTIFIED=softplus,
            REVERSE=reverse,
            CHUNK=_CHUNK,
            BLOCK=block,
            num_warps=max(1, block // 32),
            num_stages=1,
        )
    return buffers.flat()


@torch.library.register_fake("vdmbench::triton_scan_backward")
def _(
    d_out: Tensor,
    ahead: list[Tensor],
    back: list[Tensor],
    gate: Tensor | None,
    how: int,
    softplus: bool,
    reverse: bool,
) -> list[Tensor]:
    return _Buffers.of(ahead, back, gate, how).flat()


def _backward_block(channels: int) -> int:
    return min(_BACKWARD_BLOCK, 1 << (channels - 1).bit_length())


def features_adjacent(tensor: Tensor) -> Tensor:
    """The tensor itself where neighbouring features are neighbours in memory, as in any slice of a projection; else a copy."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _arguments(direction: list[Tensor]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """A direction as kernels take it, and the frame strides of x, dt, B and C."""
    x, dt, A, B, C, D, dt_bias = direction
    x, dt, B, C = sequences = [features_adjacent(tensor) for tensor in (x, dt, B, C)]
    exponent = (A.float().T / math.log(2)).contiguous()  # exp(delta A) = 2^(delta A / ln 2)
    batch_strides = tuple(tensor.stride(0) for tensor in sequences)
    return (
        (x, dt, exponent, B, C, D.contiguous(), dt_bias.contiguous(), batch_strides),
        tuple(tensor.stride(1) for tensor in sequences),
    )


def _gradients(direction: list[Tensor], groups: int, blocks: int) -> tuple[Tensor, ...]:
    """Those of parameters in a part for each group, in float32; those of B and C in one for each block of channels."""
    x, dt, A, B, C, *_ = direction

    def empty(*shape: int) -> Tensor:
        return x.new_empty(shape, dtype=torch.float32)

    dA, dD, ddt_bias = (empty(groups, *shape).zero_() for shape in (A.T.shape, A.shape[:1], A.shape[:1]))
    return x.new_empty(x.shape), dt.new_empty(dt.shape), dA, empty(blocks, *B.shape), empty(blocks, *C.shape), dD, ddt_bias


def _summed(gradients: list[Tensor], direction: list[Tensor]) -> list[Tensor]:
    """Gradients with their parts added up, in order, in the dtype of what they belong to."""
    if not direction:
        return []
    dx, ddt, dA, *parts = gradients
    dB, dC, dD, ddt_bias = (part.sum(0) for part in parts)
    return [
        gradient.to(tensor.dtype)
        for gradient, tensor in zip((dx, ddt, dA.sum(0).T.contiguous(), dB, dC, dD, ddt_bias), direction, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ahead, back, gate, *ctx.flags = inputs
    ctx.counts = len(ahead), len(back)
    ctx.save_for_backward(*ahead, *back, gate)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, d_out: Tensor, *_: Tensor | None) -> tuple[Any, ...]:
    *tensors, gate = ctx.saved_tensors
    count = ctx.counts[0]
    ahead, back = tensors[:count], tensors[count:]
    found = torch.ops.vdmbench.triton_scan_backward(d_out, ahead, back, gate, *ctx.flags)
    d_gate = found[len(tensors)] if gate is not None else None
    return (_summed(found[:count], ahead), _summed(found[count : len(tensors)], back), d_gate, None, None, None)


torch.library.register_autograd("vdmbench::triton_scan", _differentiate, setup_context=_setup)
