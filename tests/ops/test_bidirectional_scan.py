"""The bidirectional scan: fused against two scans written out, in every merge."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vdmbench.ops import Direction, bidirectional_selective_scan, recording, selective_scan, simulating

MERGES = ("sum", "product", "concat")
CPU_BACKENDS = ("reference", "numba")


def two_scans(ahead: Direction, back: Direction, gate: Tensor | None, merge: str) -> Tensor:
    first = selective_scan(*ahead[:6], dt_bias=ahead.dt_bias, backend="reference")
    flipped = [part.flip(1) for part in (back.x, back.dt, back.B, back.C)]
    second = selective_scan(
        flipped[0], flipped[1], back.A, flipped[2], flipped[3], back.D, dt_bias=back.dt_bias, backend="reference"
    ).flip(1)
    weight = 1 if gate is None else F.silu(gate)
    if merge == "concat":
        return torch.cat([first * weight, second * weight], -1)
    return (first + second if merge == "sum" else first * second) * weight


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_it_equals_two_scans_and_their_merge(backend, merge, gated, dtype, random_direction, relative_error):
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]  # bf16: outputs round twice
    for shape in ((2, 37, 33, 5), (1, 1, 1, 1), (66, 2, 16, 4)):
        ahead, back = random_direction(*shape, dtype=dtype), random_direction(*shape, dtype=dtype, seed=1)
        gate = random_direction(*shape, dtype=dtype, seed=2).x
        inputs = [*ahead, *back, *([gate] if gated else [])]
        wide = [part.detach().double().requires_grad_() for part in inputs]
        want = two_scans(Direction(*wide[:7]), Direction(*wide[7:14]), wide[14] if gated else None, merge)
        got = bidirectional_selective_scan(ahead, back, gate=gate if gated else None, merge=merge, backend=backend)
        assert got.dtype is dtype
        assert relative_error(got, want) < tolerance
        weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)
        wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
        gotten = torch.autograd.grad((got * weight).sum(), inputs)
        for one, other in zip(gotten, wanted, strict=True):
            assert relative_error(one, other) < tolerance


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_gradcheck(backend, merge, random_direction):
    ahead, back = random_direction(2, 4, 3, 2), random_direction(2, 4, 3, 2, seed=1)
    gate = random_direction(2, 4, 3, 2, seed=2).x

    def run(gate: Tensor, *parts: Tensor) -> Tensor:
        ahead, back = Direction(*parts[:7]), Direction(*parts[7:])
        return bidirectional_selective_scan(ahead, back, gate=gate, merge=merge, backend=backend)

    assert torch.autograd.gradcheck(run, (gate, *ahead, *back), fast_mode=True)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_directions_may_share_their_tensors(backend, random_direction, relative_error):
    direction = random_direction(2, 20, 6, 3)
    got = torch.autograd.grad(bidirectional_selective_scan(direction, direction, backend=backend).sum(), tuple(direction))
    want = torch.autograd.grad(two_scans(direction, direction, None, "sum").sum(), tuple(direction))
    for one, other in zip(got, want, strict=True):
        assert relative_error(one, other) < 1e-12


def test_results_do_not_depend_on_the_number_of_threads(random_direction):
    ahead, back = (random_direction(70, 64, 48, 5, dtype=torch.float32, seed=seed) for seed in (0, 1))
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            y = bidirectional_selective_scan(ahead, back, merge="product", backend="numba")
            results.append((y, *torch.autograd.grad(y.square().sum(), (*ahead, *back))))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_nothing_is_saved_for_backward_but_the_inputs(random_direction):
    ahead, back = random_direction(2, 64, 16, 8), random_direction(2, 64, 16, 8, seed=1)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        bidirectional_selective_scan(ahead, back, gate=ahead.x, backend="numba")
    assert {tensor.data_ptr() for tensor in saved} <= {part.data_ptr() for part in (*ahead, *back)}


@pytest.mark.parametrize("machine", ["cpu", "cuda"])
@pytest.mark.parametrize("merge", MERGES)
def test_fake_tensors_pass_forward_and_backward(machine, merge, random_direction):
    shapes = [part.shape for part in random_direction(2, 30, 6, 3)]
    with FakeTensorMode(), simulating(machine), recording() as used:
        ahead, back = (Direction(*(torch.empty(shape, requires_grad=True) for shape in shapes)) for _ in range(2))
        y = bidirectional_selective_scan(ahead, back, gate=ahead.x, merge=merge)
        gradients = torch.autograd.grad(y.sum(), (*ahead, *back))
    assert used == {"bidirectional_selective_scan": {"numba" if machine == "cpu" else "triton"}}
    assert y.shape == (2, 30, 12 if merge == "concat" else 6)
    assert [g.shape for g in gradients] == [*shapes, *shapes]


def test_what_does_not_fit_is_refused(random_direction):
    ahead, back = random_direction(2, 6, 4, 2), random_direction(2, 6, 4, 2, seed=1)
    with pytest.raises(ValueError, match="merge must be one of sum, product, concat, quasi-separable, got 'mean'"):
        bidirectional_selective_scan(ahead, back, merge="mean")
    with pytest.raises(ValueError, match=r"takes back.dt of shape \(2, 6, 4\), got \(2, 6, 3\)"):
        bidirectional_selective_scan(ahead, back._replace(dt=torch.randn(2, 6, 3)))
    with pytest.raises(ValueError, match=r"takes back.x like ahead.x, \(2, 6, 4\) .* got \(2, 7, 4\)"):
        bidirectional_selective_scan(ahead, random_direction(2, 7, 4, 2))
    with pytest.raises(ValueError, match=r"takes back.A like ahead.A"):
        bidirectional_selective_scan(ahead, random_direction(2, 6, 4, 3))
