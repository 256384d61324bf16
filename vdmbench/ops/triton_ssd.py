"""The SSD scan on CUDA devices as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_ssd_kernels`.

One launch a pass, of one scan or of the two of a quasi-separable matrix. Between the passes nothing is kept but the inputs, as
they are: the backward pass makes the states of chunks again. What a pass holds for a while is among its operator's outputs,
so that a plan of memory counts it. Parameters' gradients are summed in a fixed order, without atomics.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.triton_scan import features_adjacent

_PROGRAMS = 512
"""Most programs of a backward pass; each has room for the states of one clip and group of heads."""
_CHUNK, _CHUNK_OF_FLOAT32 = 64, 16
"""Most frames of a chunk. float32 has no tensor cores: its products are written out, and large ones take minutes to compile."""
_WIDTH, _WIDTH_OF_FLOAT32 = 64, 32
"""Most features of a head that a program takes at once."""
_LEAST = 16
"""Tensor cores take no side of a matrix below this."""
MOST_STATES = 128
"""More than this do not fit the registers beside the features."""

Side = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]
"""x, dt, A, B, C, dt_bias, as :func:`vdmbench.ops.ssd_scan` takes them."""


def refuses(x: Tensor, B: Tensor) -> str | None:
    """Why the kernels do not take these, in one line; None where they do."""
    if x.dtype is torch.float64:
        return "it computes in float32, and does not take float64; use 'chunked'"
    if B.shape[-1] > MOST_STATES:
        return f"it takes at most {MOST_STATES} numbers of state, not {B.shape[-1]}; use 'chunked'"
    return None


def triton_ssd(ahead: Side, back: Side | None, skip: Tensor | None, softplus: bool, reverse: bool) -> Tensor:
    """One scan, or with ``back`` two that are each delayed by one frame and added; and ``skip`` times x of ``ahead``.

    Args:
        skip: (heads,) beside one scan, (batch, frames, heads) beside two.
    """
    sides = [[] if side is None else [*side[:5], side[2].new_zeros(side[2].shape) if side[5] is None else side[5]]
             for side in (ahead, back)]  # fmt: skip
    y: Tensor = torch.ops.vdmbench.triton_ssd(*sides, skip, softplus, reverse)[0]
    return y


_INPUTS = "Tensor[] ahead, Tensor[] back, Tensor? skip, bool softplus, bool reverse"
torch.library.define("vdmbench::triton_ssd", f"({_INPUTS}) -> (Tensor, Tensor)")
torch.library.define("vdmbench::triton_ssd_backward", f"(Tensor d_out, {_INPUTS}) -> Tensor[]")


def _outputs(ahead: list[Tensor], back: list[Tensor]) -> tuple[Tensor, Tensor]:
    """y, and where two scans are added and y is of half precision, the first one's output before it is rounded."""
    x = ahead[0]
    rounds = bool(back) and x.dtype is not torch.float32
    return x.new_empty(x.shape), x.new_empty(x.shape if rounds else (0,), dtype=torch.float32)


@torch.library.register_fake("vdmbench::triton_ssd")
def _(ahead: list[Tensor], back: list[Tensor], skip: Tensor | None, softplus: bool, reverse: bool) -> tuple[Tensor, Tensor]:
    return _outputs(ahead, back)


@torch.library.impl("vdmbench::triton_ssd", ("CPU", "CUDA"))
def _scan(ahead: list[Tensor], back: list[Tensor], skip: Tensor | None, softplus: bool, reverse: bool) -> tuple[Tensor, Tensor]:
    from vdmbench.ops import triton_ssd_kernels

    out, partial = _outputs(ahead, back)
    (batch, frames, heads, dim), (groups, _) = ahead[0].shape, ahead[3].shape[2:]
    first = _arguments(ahead)
    with torch.cuda.device_of(out):
        triton_ssd_kernels.forward[(batch * heads * -(-dim // _width(ahead[0])),)](
            out,
            partial if partial.numel() else out,
            first,
            _arguments(back) if back else first,
            ahead[0] if skip is None else skip.contiguous() if skip.dim() == 1 else skip,
            _strides(skip),
            frames,
            heads,
            groups,
            **_constants(ahead, back, skip, softplus, reverse),
            num_warps=4,
        )
    return out, partial


def _backward_outputs(ahead: list[Tensor], back: list[Tensor], skip: Tensor | None) -> list[Tensor]:
    """Gradients of each tensor of ``ahead``, of each of ``back``, and of ``skip`` where there is one, those of parameters in a
    part for each slot; then the states that enter chunks, and the gradients of states."""
    x, B = ahead[0], ahead[3]
    (batch, frames, heads, dim), groups = x.shape, B.shape[2]
    width, states = _width(x), _power(B.shape[3])
    slots = _slots(batch, groups)

    def parts() -> Tensor:
        return x.new_zeros((slots, heads), dtype=torch.float32)

    found = []
    for side in (ahead, back):
        if side:
            found += [parts() if number in (2, 5) else each.new_empty(each.shape) for number, each in enumerate(side)]
    if skip is not None:
        found.append(parts() if skip.dim() == 1 else skip.new_empty(skip.shape))
    chunk = _chunk(x)
    chunks, units = -(-(frames + bool(back)) // chunk), heads // groups * -(-dim // width)
    entered = x.new_empty(slots * groups, units, chunks, width, states)
    return [*found, entered, x.new_empty((slots * groups, units, width, states), dtype=torch.float32)]


@torch.library.register_fake("vdmbench::triton_ssd_backward")
def _(
    d_out: Tensor, ahead: list[Tensor], back: list[Tensor], skip: Tensor | None, softplus: bool, reverse: bool
) -> list[Tensor]:
    return _backward_outputs(ahead, back, skip)


@torch.library.impl("vdmbench::triton_ssd_backward", ("CPU", "CUDA"))
def _scan_backward(
    d_out: Tensor, ahead: list[Tensor], back: list[Tensor], skip: Tensor | None, softplus: bool, reverse: bool
) -> list[Tensor]:
    from vdmbench.ops import triton_ssd_kernels

    found = _backward_outputs(ahead, back, skip)
    entered, carried = found[-2:]
    (batch, frames, heads, _), groups = ahead[0].shape, ahead[3].shape[2]
    slots = _slots(batch, groups)
    first, d_out = _arguments(ahead), features_adjacent(d_out)
    count = len(ahead)
    with torch.cuda.device_of(d_out):
        triton_ssd_kernels.backward[(slots * groups,)](
            d_out,
            _strides(d_out),
            entered,
            carried,
            first,
            _arguments(back) if back else first,
            tuple(found[:count]),
            tuple(found[count : 2 * count]) if back else tuple(found[:count]),
            ahead[0] if skip is None else skip.contiguous() if skip.dim() == 1 else skip,
            _strides(skip),
            found[-3],
            batch,
            frames,
            heads,
            groups,
            slots,
            **_constants(ahead, back, skip, softplus, reverse),
            num_warps=8,
        )
    return found


def _constants(
    ahead: list[Tensor], back: list[Tensor], skip: Tensor | None, softplus: bool, reverse: bool
) -> dict[str, int | bool]:
    x, B = ahead[0], ahead[3]
    return {
        "DIM": x.shape[3],
        "STATE": B.shape[3],
        "WIDTH": _width(x),
        "STATES": _power(B.shape[3]),
        "BOTH": bool(back),
        "SKIP": 0 if skip is None else 1 if skip.dim() == 1 else 2,
        "RECTIFIED": softplus,
        "REVERSE": reverse,
        "CHUNK": _chunk(x),
        "num_stages": 1,
    }


def _power(size: int) -> int:
    """The power of two that holds so many, of those that a matrix product takes."""
    return max(_LEAST, 1 << (size - 1).bit_length())


def _width(x: Tensor) -> int:
    return min(_WIDTH_OF_FLOAT32 if x.dtype is torch.float32 else _WIDTH, _power(x.shape[3]))


def _chunk(x: Tensor) -> int:
    return min(_CHUNK_OF_FLOAT32 if x.dtype is torch.float32 else _CHUNK, _power(x.shape[1]))


def _slots(batch: int, groups: int) -> int:
    return min(batch, max(1, _PROGRAMS // groups))


def _strides(tensor: Tensor | None) -> tuple[int, int, int]:
    """Of batch, frames and heads."""
    if tensor is None or tensor.dim() == 1:
        return 0, 0, 0
    return tensor.stride(0), tensor.stride(1), tensor.stride(2)


def _arguments(side: list[Tensor]) -> tuple[Any, ...]:
    x, dt, A, B, C, dt_bias = side
    x, B, C = (features_adjacent(tensor) for tensor in (x, B, C))
    return x, dt, A.contiguous(), B, C, dt_bias.contiguous(), tuple(_strides(each) for each in (x, dt, B, C))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ahead, back, skip, *ctx.flags = inputs
    ctx.count = len(ahead)
    ctx.save_for_backward(*ahead, *back, skip)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, d_out: Tensor, *_: Tensor | None) -> tuple[Any, ...]:
    *tensors, skip = ctx.saved_tensors
    ahead, back = tensors[: ctx.count], tensors[ctx.count :]
    found = torch.ops.vdmbench.triton_ssd_backward(d_out, ahead, back, skip, *ctx.flags)
    wanted = [*tensors, *([] if skip is None else [skip])]
    whole = [
        (part.sum(0) if part.shape != each.shape else part).to(each.dtype)
        for part, each in zip(found[: len(wanted)], wanted, strict=True)
    ]
    return (
        whole[: ctx.count],
        whole[ctx.count : len(tensors)],
        None if skip is None else whole[-1],
        None,
        None,
    )


torch.library.register_autograd("vdmbench::triton_ssd", _differentiate, setup_context=_setup)
