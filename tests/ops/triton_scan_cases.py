"""The Triton scans as Python on CPU tensors; run by test_triton_scan.py in a process with TRITON_INTERPRET=1.

The interpreter takes 0.1 ms for an element of a scan, so shapes are tiny, and so are tiles of frames but in one test.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vdmbench.ops import Direction, bidirectional_selective_scan, selective_scan, triton_scan

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
SINGLE = {"reverse": False}, {"reverse": True}
MERGED = {"merge": "sum"}, {"merge": "product"}, {"merge": "concat"}, {"merge": "quasi-separable"}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch) -> None:
    monkeypatch.setattr(triton_scan, "_CHUNK", 4)


def scan(parts: list[Tensor], gated: bool, backend: str, options: dict) -> Tensor:
    gate = parts[-1] if gated else None
    if "merge" in options:
        ahead, back = Direction(*parts[:7]), Direction(*parts[7:14])
        return bidirectional_selective_scan(ahead, back, gate=gate, backend=backend, **options)
    return selective_scan(*parts[:6], dt_bias=parts[6], gate=gate, backend=backend, **options)


def compare(parts: list[Tensor], gated: bool, relative_error, **options) -> None:
    """Output and every gradient against the float64 reference."""
    wide = [part.detach().double().requires_grad_() for part in parts]
    got, want = scan(parts, gated, "triton", options), scan(wide, gated, "reference", options)
    tolerance = TOLERANCE[parts[0].dtype]
    assert got.dtype is parts[0].dtype
    assert relative_error(got, want) < tolerance
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(got.dtype)
    wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
    gotten = torch.autograd.grad((got * weight).sum(), parts)
    for part, one, other in zip(parts, gotten, wanted, strict=True):
        assert one.dtype is part.dtype
        assert relative_error(one, other) < tolerance


@pytest.fixture
def random_parts(random_direction):
    """The tensors of one direction or two, then a gate where there is one."""

    def make(shape, gated: bool, both: bool, dtype=torch.float32) -> list[Tensor]:
        parts = [*random_direction(*shape, dtype=dtype), *(random_direction(*shape, dtype=dtype, seed=1) if both else ())]
        return [*parts, *([random_direction(*shape, dtype=dtype, seed=2).x] if gated else [])]

    return make


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("options", [*SINGLE, *MERGED], ids=str)
def test_it_equals_the_float64_reference(options, gated, random_parts, relative_error):
    for shape in ((2, 9, 3, 2), (1, 1, 1, 1), (1, 4, 2, 3)):
        compare(random_parts(shape, gated, "merge" in options), gated, relative_error, **options)


HALF = [*((torch.bfloat16, options) for options in (SINGLE[1], *MERGED)), (torch.float16, MERGED[1])]


@pytest.mark.parametrize(("dtype", "options"), HALF, ids=str)
def test_half_precision(dtype, options, random_parts, relative_error):
    compare(random_parts((2, 6, 3, 2), True, "merge" in options, dtype), True, relative_error, **options)


def test_half_precision_activations_with_float32_parameters(random_direction, relative_error):
    wide, half = random_direction(2, 6, 3, 2, dtype=torch.float32), random_direction(2, 6, 3, 2, dtype=torch.bfloat16)
    compare([*half._replace(A=wide.A, D=wide.D, dt_bias=wide.dt_bias)], False, relative_error)


def test_more_elements_than_groups_and_more_channels_than_a_block(random_parts, relative_error, monkeypatch):
    monkeypatch.setattr(triton_scan, "_GROUPS", 2)
    monkeypatch.setattr(triton_scan, "_BLOCK", 2)
    monkeypatch.setattr(triton_scan, "_BACKWARD_BLOCK", 4)
    compare(random_parts((3, 3, 5, 1), True, True), True, relative_error, merge="product")


def test_tiles_of_sixteen_frames(random_parts, relative_error, monkeypatch):
    monkeypatch.setattr(triton_scan, "_CHUNK", 16)
    compare(random_parts((1, 35, 1, 2), True, True), True, relative_error, merge="sum")


def test_extreme_steps_neither_overflow_nor_vanish(random_direction, relative_error):
    """Steps near 0 keep the state; large ones forget it; softplus is exact in both tails."""
    for offset in (-30.0, -10.0, 20.0, 1e4):
        direction = random_direction(1, 5, 3, 2, dtype=torch.float32)
        compare([*direction._replace(dt=(direction.dt.detach() + offset).requires_grad_())], False, relative_error)


def test_without_softplus_and_without_the_optional_parts(random_direction, relative_error):
    x, dt, A, B, C, *_ = random_direction(2, 6, 3, 2, dtype=torch.float32)
    dt = dt.detach().abs().requires_grad_()
    got = selective_scan(x, dt, A, B, C, softplus=False, backend="triton")
    want = selective_scan(x.double(), dt.double(), A.double(), B.double(), C.double(), softplus=False, backend="reference")
    assert relative_error(got, want) < 1e-5
    for one, other in zip(
        torch.autograd.grad(got.sum(), (x, dt, A, B, C)), torch.autograd.grad(want.sum(), (x, dt, A, B, C)), strict=True
    ):
        assert relative_error(one, other) < 1e-5


def test_slices_of_a_projection_and_strided_inputs(random_parts, relative_error):
    parts = [part.detach() for part in random_parts((2, 5, 3, 2), True, True)]
    sliced = [torch.cat([part, part, part], -1)[..., part.shape[-1] : 2 * part.shape[-1]].requires_grad_() for part in parts]
    strided = [torch.stack([part, part], -1)[..., 0].requires_grad_() for part in parts]
    assert not any(part.is_contiguous() for part in (sliced[0], strided[0]))
    for layout in (sliced, strided):
        compare(layout, True, relative_error, merge="sum")


def test_a_batch_and_directions_may_share_their_memory(random_direction, relative_error):
    direction = random_direction(1, 4, 3, 2, dtype=torch.float32)
    one = direction.x.detach().expand(3, 4, 3).requires_grad_()
    parts = [one, one, *random_direction(3, 4, 3, 2, dtype=torch.float32)[2:]]
    got = bidirectional_selective_scan(Direction(*parts), Direction(*parts), backend="triton")
    want = bidirectional_selective_scan(Direction(*parts), Direction(*parts), backend="reference")
    assert relative_error(got, want) < 1e-5
    assert relative_error(*(torch.autograd.grad(y.sum(), one)[0] for y in (got, want))) < 1e-5


def test_inference_equals_training_bit_for_bit(random_parts):
    parts = random_parts((1, 11, 2, 1), True, True)
    with torch.no_grad():
        inferred = scan(parts, True, "triton", {"merge": "product"})
    assert torch.equal(inferred, scan(parts, True, "triton", {"merge": "product"}))


def test_float64_is_refused(random_direction):
    direction = random_direction(1, 2, 3, 2)
    with pytest.raises(ValueError, match="'triton' of selective_scan cannot run: it computes in float32"):
        selective_scan(*direction[:6], dt_bias=direction.dt_bias, backend="triton")


@pytest.mark.parametrize("gated", [True, False])
def test_the_operator_is_registered_correctly(gated, random_direction):
    ahead, back = (list(random_direction(2, 3, 2, 2, dtype=torch.float32, seed=seed)) for seed in (0, 1))
    gate = ahead[0].detach().clone() if gated else None
    torch.library.opcheck(
        torch.ops.vdmbench.triton_scan.default,
        (ahead, back, gate, 1, True, False),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )
