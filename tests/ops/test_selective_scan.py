"""The selective scan: each backend against the reference, the reference against a dense matrix, and what all must keep."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vdmbench.ops import Direction, recording, selective_scan, simulating

CPU_BACKENDS = ("reference", "numba")
SHAPES = [(2, 37, 33, 5), (1, 1, 1, 1), (3, 16, 16, 4), (70, 3, 7, 1)]  # batch, frames, channels, state
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


def scan(direction: Direction, **options) -> Tensor:
    return selective_scan(*direction[:6], dt_bias=direction.dt_bias, **options)


def dense(direction: Direction) -> Tensor:
    """y = M x with M[t, s] = C_t . exp(A sum of delta over s < r <= t) delta_s B_s, semiseparable (arXiv 2405.21060, eq. 3)."""
    x, dt, A, B, C, D, dt_bias = direction
    delta = F.softplus(dt + dt_bias)
    total = delta.cumsum(1)
    span = total[:, :, None] - total[:, None]  # (batch, t, s, channels)
    decay = torch.exp(span[..., None] * A) * torch.ones(x.shape[1], x.shape[1]).tril()[None, :, :, None, None]
    matrix = torch.einsum("btn,btscn,bsc,bsn->btsc", C, decay, delta, B)
    return torch.einsum("btsc,bsc->btc", matrix, x) + D * x


def compare(direction: Direction, gate: Tensor | None, relative_error, tolerance: float, **options) -> None:
    """Output and every gradient against the float64 reference."""
    backend = options.pop("backend")
    inputs = [part for part in (*direction, gate) if part is not None]
    wide = [part.detach().double().requires_grad_() for part in inputs]
    wide_gate = wide.pop() if gate is not None else None
    want = scan(Direction(*wide), gate=wide_gate, backend="reference", **options)
    got = scan(direction, gate=gate, backend=backend, **options)
    assert got.dtype is direction.x.dtype
    assert relative_error(got, want) < tolerance
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(got.dtype)
    wanted = torch.autograd.grad((want * weight.double()).sum(), wide if wide_gate is None else [*wide, wide_gate])
    gotten = torch.autograd.grad((got * weight).sum(), inputs)
    for one, other in zip(gotten, wanted, strict=True):
        assert relative_error(one, other) < tolerance


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_every_backend_equals_the_float64_reference(backend, dtype, shape, random_direction, relative_error):
    direction = random_direction(*shape, dtype=dtype)
    gate = random_direction(*shape, dtype=dtype, seed=1).x
    compare(direction, gate, relative_error, TOLERANCE[dtype], backend=backend)
    compare(direction, None, relative_error, TOLERANCE[dtype], backend=backend, reverse=True)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_without_softplus_and_without_the_optional_parts(backend, random_direction, relative_error):
    x, dt, A, B, C, *_ = random_direction(2, 9, 5, 3, dtype=torch.float32)
    dt = dt.detach().abs().requires_grad_()
    compare(Direction(x, dt, A, B, C), None, relative_error, 1e-5, backend=backend, softplus=False)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_half_precision_activations_with_float32_parameters(backend, random_direction, relative_error):
    """What autocast hands a mixer: gradients come back in the dtype of what they belong to."""
    wide, half = random_direction(2, 20, 6, 4, dtype=torch.float32), random_direction(2, 20, 6, 4, dtype=torch.bfloat16)
    compare(half._replace(A=wide.A, D=wide.D, dt_bias=wide.dt_bias), None, relative_error, 1e-2, backend=backend)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_it_equals_the_dense_semiseparable_matrix(backend, random_direction, relative_error):
    direction = random_direction(2, 21, 5, 4)
    assert relative_error(scan(direction, backend=backend), dense(direction)) < 1e-12


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_reverse_is_flip_scan_flip(backend, random_direction, relative_error):
    direction = random_direction(2, 35, 6, 3)
    x, dt, A, B, C, D, dt_bias = direction
    flipped = Direction(x.flip(1), dt.flip(1), A, B.flip(1), C.flip(1), D, dt_bias)
    assert relative_error(scan(direction, reverse=True, backend=backend), scan(flipped, backend=backend).flip(1)) < 1e-14


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_gradcheck(backend, reverse, softplus, random_direction):
    direction = random_direction(2, 5, 3, 2)
    gate = random_direction(2, 5, 3, 2, seed=1).x

    def run(gate: Tensor, *parts: Tensor) -> Tensor:
        return scan(Direction(*parts), gate=gate, reverse=reverse, softplus=softplus, backend=backend)

    assert torch.autograd.gradcheck(run, (gate, *direction), fast_mode=backend == "reference")


def test_the_reference_is_differentiable_twice(random_direction):
    direction = random_direction(1, 3, 2, 2)
    assert torch.autograd.gradgradcheck(lambda *parts: scan(Direction(*parts), backend="reference"), tuple(direction))


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("reverse", [True, False])
def test_a_frame_changes_only_what_comes_after_it_in_scan_order(backend, reverse, random_direction):
    direction = Direction(*(part.detach() for part in random_direction(2, 24, 5, 3)))
    before = scan(direction, reverse=reverse, backend=backend)
    for part in (direction.x, direction.dt, direction.B, direction.C):
        part[:, 10] += 1
    changed = (scan(direction, reverse=reverse, backend=backend) != before).any(-1).any(0)
    assert torch.equal(changed, torch.arange(24) <= 10 if reverse else torch.arange(24) >= 10)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_non_contiguous_inputs_and_gradient(backend, random_direction, relative_error):
    direction = random_direction(2, 9, 8, 3)
    apart = Direction(*(torch.stack([part, part], -1)[..., 0] for part in direction[:5]), direction.D, direction.dt_bias)
    assert not apart.x.is_contiguous()
    got, want = (torch.autograd.grad(scan(d, backend=backend).sum(), tuple(direction)) for d in (apart, direction))
    for one, other in zip(got, want, strict=True):
        assert relative_error(one, other) < 1e-14


def test_extreme_steps_neither_overflow_nor_vanish(random_direction, relative_error):
    """Steps near 0 keep the state; large ones forget it; softplus is exact in both tails."""
    for offset in (-30.0, -10.0, 20.0, 1e4):
        direction = random_direction(1, 12, 16, 4, dtype=torch.float32)
        direction = direction._replace(dt=(direction.dt.detach() + offset).requires_grad_())
        compare(direction, None, relative_error, 1e-5, backend="numba")


def test_results_do_not_depend_on_the_number_of_threads(random_direction):
    direction = random_direction(70, 64, 48, 5, dtype=torch.float32)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            y = scan(direction, backend="numba")
            results.append((y, *torch.autograd.grad(y.square().sum(), tuple(direction))))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_nothing_is_saved_for_backward_but_the_inputs(random_direction):
    direction = random_direction(2, 64, 16, 8, dtype=torch.float32)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        scan(direction, backend="numba")
    assert {tensor.data_ptr() for tensor in saved} <= {part.data_ptr() for part in direction}


def test_auto_on_the_cpu_is_numba_and_is_recorded(random_direction):
    with recording() as used:
        scan(random_direction(1, 2, 3, 4))
    assert used == {"selective_scan": {"numba"}}


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("name", ["x", "dt", "B", "C", "D", "dt_bias"])
def test_a_non_finite_input_is_seen_in_the_output_and_named_under_anomaly_detection(backend, name, random_direction):
    direction = Direction(*(part.detach() for part in random_direction(1, 4, 3, 2)))
    getattr(direction, name).view(-1)[0] = float("nan")
    assert scan(direction, backend=backend).isnan().any()
    with torch.autograd.set_detect_anomaly(True), pytest.raises(ValueError, match=f"non-finite value in {name}$"):
        scan(direction, backend=backend)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": torch.randn(2, 5, 4)}, r"takes dt of shape \(2, 6, 4\), got \(2, 5, 4\)"),
        ({"A": torch.randn(3, 2)}, r"takes A of shape \(4, 2\), got \(3, 2\)"),
        ({"C": torch.randn(2, 6, 3)}, r"takes C of shape \(2, 6, 2\), got \(2, 6, 3\)"),
        ({"B": torch.ones(2, 6, 2, dtype=torch.int64)}, "takes B of a floating dtype, got torch.int64"),
        ({"D": torch.ones(4, device="meta")}, "one device, got x on cpu and D on meta"),
        ({"x": torch.randn(2, 0, 4)}, "neither empty"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message, random_direction):
    with pytest.raises(ValueError, match=message):
        scan(random_direction(2, 6, 4, 2)._replace(**change))


def test_a_gate_that_does_not_fit_is_refused(random_direction):
    with pytest.raises(ValueError, match=r"takes gate of shape \(2, 6, 4\), got \(2, 6, 3\)"):
        scan(random_direction(2, 6, 4, 2), gate=torch.randn(2, 6, 3))


@pytest.mark.parametrize("machine", ["cpu", "cuda"])
@pytest.mark.parametrize("gated", [True, False])
def test_fake_tensors_pass_forward_and_backward_so_that_memory_can_be_planned(machine, gated, random_direction):
    with FakeTensorMode(allow_non_fake_inputs=True), simulating(machine), recording() as used:
        direction = Direction(*(torch.empty(part.shape, requires_grad=True) for part in random_direction(2, 30, 6, 3)))
        gate = torch.empty(2, 30, 6, requires_grad=True) if gated else None
        y = scan(direction, gate=gate, reverse=True)
        gradients = torch.autograd.grad(y.sum(), [*direction, *([gate] if gated else [])])
    assert used == {"selective_scan": {"numba" if machine == "cpu" else "triton"}}
    assert y.shape == (2, 30, 6)
    assert [g.shape for g in gradients] == [part.shape for part in [*direction, *([gate] if gated else [])]]


@pytest.mark.parametrize("gated", [True, False])
def test_the_numba_operator_is_registered_correctly(gated, random_direction):
    direction = random_direction(2, 5, 3, 2, dtype=torch.float32)
    gate = direction.x.detach().clone() if gated else None
    torch.library.opcheck(
        torch.ops.vdmbench.numba_scan.default,
        (list(direction), [], gate, 0, True, False),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and mamba-ssm")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reverse", [True, False])
def test_mamba_ssm_equals_the_float64_reference(dtype, reverse, random_direction, relative_error):
    pytest.importorskip("selective_scan_cuda", reason="needs mamba-ssm with its CUDA extension")
    parts = random_direction(2, 300, 48, 16, dtype=torch.float32)
    on_gpu = [part.detach().cuda().to(dtype if part.dim() == 3 else torch.float32).requires_grad_() for part in parts]
    gate = torch.randn(2, 300, 48, device="cuda", dtype=dtype, requires_grad=True)
    tolerance = 1e-4 if dtype is torch.float32 else 2e-2
    for option in (gate, None):
        compare(Direction(*on_gpu), option, relative_error, tolerance, backend="mamba_ssm", reverse=reverse)
