"""Every backend that runs here, of every op, against the float64 reference: output and each gradient, by relative norm.

An op or a backend that is added is held to it as well; those that need a GPU are in the tests of their op, marked ``gpu``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vdmbench import ops
from vdmbench.ops import Direction, backends

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
Shapes = list[tuple[int, ...]]


class Op(NamedTuple):
    """How a test calls an op: the shapes of its tensors for each size, what makes them valid, and the call."""

    sizes: list[tuple[int, ...]]
    shapes: Callable[..., Shapes]
    call: Callable[..., Tensor]
    options: list[dict[str, Any]]
    reference: str = "reference"
    negative: tuple[int, ...] = ()
    """Positions of tensors that must be below zero."""
    unit: tuple[int, ...] = ()
    """Positions of tensors whose rows have length 1."""
    roundings: int = 1
    """How many results on the way are rounded to the dtype of the inputs, each by as much as the tolerance."""
    refused: Mapping[str, dict[str, Any]] = MappingProxyType({})
    """Backend to options that it does not take."""

    def taken_by(self, backend: str) -> list[dict[str, Any]]:
        """The options that a backend takes."""
        refused = self.refused.get(backend, {"": None})
        return [each for each in self.options if not refused.items() <= each.items()]


def _heads(batch: int, heads: int, frames: int, dim: int) -> Shapes:
    return [(batch, heads, frames, dim)] * 3


def _direction(batch: int, frames: int, channels: int, state: int) -> Shapes:
    sequence, maps = (batch, frames, channels), (batch, frames, state)
    return [sequence, sequence, (channels, state), maps, maps, (channels,), (channels,)]


def _ssd(batch: int, frames: int, heads: int, dim: int, groups: int, state: int) -> Shapes:
    maps, steps = (batch, frames, groups, state), (batch, frames, heads)
    return [(batch, frames, heads, dim), steps, (heads,), maps, maps, (heads,), (heads,)]


def _quasi_separable(batch: int, frames: int, heads: int, dim: int, groups: int, state: int) -> Shapes:
    x, steps, of_head, B, C, *_ = _ssd(batch, frames, heads, dim, groups, state)
    return [x, steps, B, C, steps, B, C, of_head, of_head, steps]


def _delta(batch: int, frames: int, heads: int, key: int, value: int) -> Shapes:
    keys, steps = (batch, frames, heads, key), (batch, frames, heads)
    return [keys, keys, (batch, frames, heads, value), steps, steps]


def _normed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor,
    film: Tensor,
    *,
    pooled: bool = False,
    told: bool = True,
    beside: bool = True,
    **o: Any,
) -> Tensor:
    """At most 8 groups; statistics of one image, or of all; scale and shift for each two images."""
    return ops.group_norm_silu(
        x,
        weight,
        bias,
        film if told else None,
        residual if beside else None,
        groups=math.gcd(8, weight.shape[-1]),
        pooled=len(x) if pooled else 1,
        **o,
    )


def _mamba2_block(batch: int, frames: int, heads: int, dim: int, state: int, taps: int) -> Shapes:
    inner, maps, of_head = heads * dim, 4 * state, (heads,)
    x = (batch, frames, inner)
    conv = [(inner + maps, taps), (inner + maps,)]
    return [x, x, (batch, frames, maps), (batch, frames, heads), *conv, of_head, of_head, of_head, (inner,), (6, inner)]


EITHER_WAY = [{"reverse": False}, {"reverse": True}]
OPS = {
    "attention": Op(
        [(2, 3, 7, 8), (1, 1, 1, 1), (3, 2, 33, 5)],
        lambda *size: [*_heads(*size), (size[1], size[2], size[2])],
        lambda q, k, v, bias, biased, **o: ops.attention(q, k, v, bias=bias if biased else None, **o),
        [{"biased": biased, "causal": causal} for biased in (False, True) for causal in (False, True)],
        "math",
        refused={"triton": {"biased": False}, "blocks": {"biased": False}, "numba": {"biased": True}},
    ),
    "sliding_attention": Op(
        [(2, 3, 13, 8), (1, 1, 1, 3), (2, 1, 40, 5)],
        _heads,
        ops.sliding_attention,
        [{"window": window, "causal": causal} for window in (4, 99) for causal in (False, True)],
        "math",
    ),
    "selective_scan": Op(
        [(3, 37, 5, 3), (1, 1, 1, 1), (2, 16, 24, 4)],
        lambda *size: [*_direction(*size), size[:3]],
        lambda x, dt, A, B, C, D, dt_bias, gate, **o: ops.selective_scan(x, dt, A, B, C, D, dt_bias=dt_bias, gate=gate, **o),
        EITHER_WAY,
        negative=(2,),
    ),
    "bidirectional_selective_scan": Op(
        [(3, 19, 5, 3), (1, 1, 1, 1), (2, 16, 24, 4)],
        lambda *size: [*_direction(*size), *_direction(*size), size[:3]],
        lambda *p, **o: ops.bidirectional_selective_scan(Direction(*p[:7]), Direction(*p[7:14]), gate=p[14], **o),
        [{"merge": merge} for merge in ("sum", "product", "concat", "quasi-separable")],
        negative=(2, 9),
    ),
    "ssd_scan": Op(
        [(2, 37, 4, 3, 2, 5), (1, 1, 1, 1, 1, 1), (2, 131, 2, 5, 1, 3)],
        _ssd,
        lambda x, dt, A, B, C, D, dt_bias, **o: ops.ssd_scan(x, dt, A, B, C, D, dt_bias=dt_bias, **o),
        EITHER_WAY,
        negative=(2,),
    ),
    "quasi_separable_scan": Op(
        [(2, 37, 4, 3, 2, 5), (1, 1, 1, 1, 1, 1), (2, 131, 2, 5, 1, 3)],
        _quasi_separable,
        lambda x, dt, B, C, dt_back, B_back, C_back, A, bias, diagonal, **o: ops.quasi_separable_scan(
            x, ops.Side(dt, B, C), ops.Side(dt_back, B_back, C_back), A, bias, diagonal, **o
        ),
        [{}],
        negative=(7,),
    ),
    "mamba2_block": Op(
        [(2, 21, 4, 8, 5, 4), (1, 1, 2, 3, 1, 1), (2, 8, 8, 16, 4, 4)],
        _mamba2_block,
        lambda gate, x, maps, dt, *weights, **o: ops.mamba2_block(gate, x, maps, dt, ops.Mamba2Weights(*weights), **o),
        [{"groups": 1}, {"groups": 2}],
        "parts",
        negative=(7,),
        roundings=4,
    ),
    "gated_delta_scan": Op(
        [(2, 37, 2, 5, 3), (1, 1, 1, 1, 1), (2, 70, 1, 4, 4)],
        _delta,
        lambda q, k, v, log_decay, beta, **o: ops.gated_delta_scan(q, k, v, log_decay, beta, **o),
        EITHER_WAY,
        negative=(3,),
        unit=(1,),
    ),
    "long_convolution": Op(
        [(3, 37, 5), (1, 1, 1), (2, 8, 16), (33, 18, 3)],
        lambda batch, frames, channels: [(batch, frames, channels), (channels, frames)],
        ops.long_convolution,
        EITHER_WAY,
    ),
    "causal_conv1d": Op(
        [(2, 9, 8, 4), (1, 1, 1, 1), (3, 2, 5, 7)],
        lambda batch, frames, channels, taps: [(batch, frames, channels), (channels, taps), (channels,)],
        ops.causal_conv1d,
        [{"silu": silu, "reverse": reverse} for silu in (False, True) for reverse in (False, True)],
        "torch",
    ),
    "group_norm_silu": Op(
        [(4, 4, 6, 24), (1, 1, 1, 64), (6, 5, 16, 3)],
        lambda images, height, width, channels: [
            (images, channels, height, width),
            (channels,),
            (channels,),
            (images, channels, height, width),
            (max(1, images // 2), 2 * channels),
        ],
        _normed,
        [
            {"pooled": pooled, "told": told, "beside": beside}
            for pooled, told, beside in ((False, False, False), (False, True, True), (True, True, False), (True, False, True))
        ],
        "torch",
    ),
}
HERE = [(status.op, status.backend) for status in backends.statuses("cpu") if status.available]


def random_tensors(op: Op, size: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in op.shapes(*size)]
    for position in op.negative:
        tensors[position] = -tensors[position].exp()
    for position in op.unit:
        tensors[position] = torch.nn.functional.normalize(tensors[position], dim=-1)
    return [tensor.to(dtype) for tensor in tensors]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda tensor: tensor,
    "strided": lambda tensor: torch.stack([tensor, tensor], -1)[..., 0],
    "sliced": lambda tensor: torch.cat([tensor] * 3, -1)[..., tensor.shape[-1] : 2 * tensor.shape[-1]],
    "transposed": lambda tensor: tensor.transpose(0, -1).contiguous().transpose(0, -1),
}


def error(got: Tensor, want: Tensor, floor: float = 0.0) -> float:
    """|got - want| / |want|, with a floor for what is zero but for rounding."""
    assert got.shape == want.shape
    return float((got.detach().double() - want.detach()).norm()) / max(float(want.detach().norm()), floor, 1e-300)


def test_every_op_is_held_to_its_reference() -> None:
    assert {op for op, _ in HERE} == set(OPS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize(("name", "backend"), HERE)
def test_it_equals_the_float64_reference(name: str, backend: str, dtype: torch.dtype, layout: str) -> None:
    op = OPS[name]
    for size in op.sizes if layout == "contiguous" else op.sizes[:1]:
        for options in op.taken_by(backend):
            compare(op, backend, size, options, dtype, layout)


def compare(op: Op, backend: str, size: tuple[int, ...], options: dict[str, Any], dtype: torch.dtype, layout: str) -> None:
    """Output and each gradient against the float64 reference on the same rounded inputs, and a second run to the last bit."""
    exact, tolerance = random_tensors(op, size, dtype), op.roundings * TOLERANCE[dtype]
    forward_only = backend == "flex"
    parts = [LAYOUTS[layout](tensor).requires_grad_(not forward_only) for tensor in exact]
    if backend == "sdpa-flash":  # on a CPU a bias that is trained is refused
        parts[3] = parts[3].requires_grad_(False)
    wide = [tensor.double().requires_grad_(part.requires_grad) for tensor, part in zip(exact, parts, strict=True)]
    want = op.call(*wide, backend=op.reference, **options)
    got = op.call(*parts, backend=backend, **options)
    assert got.dtype is dtype
    assert error(got, want) < tolerance
    if forward_only:
        return
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    asked = [(p, w) for p, w in zip(parts, wide, strict=True) if p.requires_grad]
    gotten = torch.autograd.grad((got * weight).sum(), [p for p, _ in asked], allow_unused=True)
    wanted = torch.autograd.grad((want * weight.double()).sum(), [w for _, w in asked], allow_unused=True)
    used = [(one, other) for one, other in zip(gotten, wanted, strict=True) if other is not None]
    largest = max(float(other.norm()) for _, other in used)
    for one, other in used:
        assert one.dtype is dtype
        assert error(one, other, floor=1e-3 * largest) < tolerance, (size, options)
    again = op.call(*parts, backend=backend, **options)
    assert torch.equal(got, again)
    repeated = torch.autograd.grad((again * weight).sum(), [p for p, _ in asked], allow_unused=True)
    assert all(torch.equal(one, other) for one, other in zip(gotten, repeated, strict=True) if one is not None)


@pytest.mark.parametrize("name", OPS)
def test_unfit_tensors_and_names_are_refused_with_the_argument(name: str) -> None:
    op = OPS[name]
    tensors = random_tensors(op, op.sizes[0], torch.float32)
    with pytest.raises(ops.UnknownBackend, match=f"{name} has no backend 'warp', known: auto"):
        op.call(*tensors, backend="warp", **op.options[0])
    for position, tensor in enumerate(tensors[:3]):
        for wrong, message in (
            (tensor.to("meta"), "takes (tensors of one device|back.* like ahead.*)"),
            (tensor.long(), "takes .*of a floating dtype|of one dtype"),
            (tensor[..., :0], "takes"),
        ):
            with pytest.raises(ValueError, match=f"{name} {message}"):
                op.call(*tensors[:position], wrong, *tensors[position + 1 :], **op.options[0])


@pytest.mark.parametrize("name", OPS)
def test_a_value_that_is_not_finite_is_named_where_anomalies_are_looked_for(name: str) -> None:
    """Otherwise it is passed on: looking at every call would make a GPU wait."""
    op = OPS[name]
    for position in (
        (2,) if "attention" in name else range(min(3, len(op.shapes(*op.sizes[0]))))
    ):  # PyTorch's CPU kernel gives 0 for a query that alone is NaN
        tensors = random_tensors(op, op.sizes[0], torch.float32)
        tensors[position].view(-1)[0] = float("nan")
        assert not op.call(*tensors, **op.options[0]).isfinite().all()
        with torch.autograd.set_detect_anomaly(True), pytest.raises(ValueError, match=f"{name} got a non-finite value in "):
            op.call(*tensors, **op.options[0])


@pytest.mark.parametrize("machine", ["cpu", "cuda"])
@pytest.mark.parametrize("name", OPS)
def test_memory_can_be_planned_of_every_backend(name: str, machine: str) -> None:
    """On fake tensors each passes forward and backward, or says what it does not take; no package need be there."""
    op = OPS[name]
    for status in backends.statuses(machine):
        if status.op != name or "it runs on" in str(status.why_not) or (machine == "cpu" and not status.available):
            continue
        with FakeTensorMode(allow_non_fake_inputs=True), backends.simulating(machine):
            dtype = torch.bfloat16 if status.backend.startswith("sdpa-") else torch.float32
            parts = [torch.empty(shape, dtype=dtype, requires_grad=True) for shape in op.shapes(*op.sizes[0])]
            refused = None
            try:
                y = op.call(*parts, backend=status.backend, **op.taken_by(status.backend)[0])
                gradients = torch.autograd.grad(y.sum(), parts, allow_unused=True)
            except ops.BackendUnavailable as error:
                refused = str(error)
        if refused is not None:
            assert re.search("no backward pass on cpu|it takes", refused)
            continue
        for part, gradient in zip(parts, gradients, strict=True):
            assert gradient is None or gradient.shape == part.shape
