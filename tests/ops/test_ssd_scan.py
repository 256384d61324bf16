"""The SSD scan: backends against the float64 reference, the reference against the selective scan and a dense matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vdmbench.ops import recording, selective_scan, simulating, ssd_scan

BACKENDS = ("reference", "chunked", "numba")
# batch, frames, heads, head_dim, groups, state
SHAPES = [(2, 37, 4, 3, 2, 5), (1, 1, 1, 1, 1, 1), (2, 131, 2, 5, 1, 3), (3, 64, 2, 4, 2, 2)]
Relative = Callable[[Tensor, Tensor], float]


def parts(
    batch: int, frames: int, heads: int, dim: int, groups: int, state: int, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """x, dt, A, B, C, D, dt_bias, leaves that require a gradient."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    found = [
        normal(batch, frames, heads, dim),
        normal(batch, frames, heads),
        -normal(heads).exp(),
        normal(batch, frames, groups, state),
        normal(batch, frames, groups, state),
        normal(heads),
        normal(heads),
    ]
    return [part.to(dtype).requires_grad_() for part in found]


def scan(inputs: list[Tensor], **options: Any) -> Tensor:
    return ssd_scan(*inputs[:6], dt_bias=inputs[6], **options)


def compare(inputs: list[Tensor], relative_error: Relative, tolerance: float, **options: Any) -> None:
    wide = [part.detach().double().requires_grad_() for part in inputs]
    want = scan(wide, **{**options, "backend": "reference"})
    got = scan(inputs, **options)
    assert got.dtype is inputs[0].dtype
    assert relative_error(got, want) < tolerance
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(got.dtype)
    wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
    gotten = torch.autograd.grad((got * weight).sum(), inputs)
    for one, other in zip(gotten, wanted, strict=True):
        assert relative_error(one, other) < tolerance


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_every_backend_equals_the_reference_to_the_last_digits(backend, reverse, relative_error):
    """In float64; in float32 and bfloat16 see test_every_backend.py."""
    for shape in SHAPES:
        compare(parts(*shape), relative_error, 1e-12, backend=backend, reverse=reverse)


def test_it_is_a_selective_scan_whose_decay_a_head_shares(relative_error):
    """Each feature of a head is a channel of S6 whose row of A is constant."""
    x, dt, A, B, C, D, dt_bias = parts(2, 21, 3, 4, 1, 5)
    steps, decays, skips, biases = (part.repeat_interleave(4, -1) for part in (dt, A, D, dt_bias))
    want = selective_scan(
        x.flatten(2), steps, decays[:, None].expand(12, 5), B[:, :, 0], C[:, :, 0], skips, dt_bias=biases, backend="reference"
    )
    for backend in BACKENDS:
        assert relative_error(scan([x, dt, A, B, C, D, dt_bias], backend=backend).flatten(2), want) < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_equals_the_dense_semiseparable_matrix(backend, relative_error):
    """M[t, s] = C_t . B_s exp(A sum of delta over s < r <= t) delta_s (Dao and Gu 2024, eq. 16)."""
    x, dt, A, B, C, D, dt_bias = parts(2, 70, 2, 3, 1, 4)
    delta = F.softplus(dt + dt_bias)
    total = (delta * A).cumsum(1)
    decay = (total[:, :, None] - total[:, None]).exp() * torch.ones(70, 70).tril()[None, :, :, None]
    matrix = torch.einsum("btgn,bsgn->bts", C, B)[..., None] * decay * delta[:, None]
    want = torch.einsum("btsh,bshp->bthp", matrix, x) + D[:, None] * x
    assert relative_error(scan([x, dt, A, B, C, D, dt_bias], backend=backend), want) < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
def test_reverse_is_flip_scan_flip(backend, relative_error):
    x, dt, A, B, C, D, dt_bias = parts(2, 70, 2, 3, 1, 4)
    flipped = scan([x.flip(1), dt.flip(1), A, B.flip(1), C.flip(1), D, dt_bias], backend=backend).flip(1)
    assert relative_error(scan([x, dt, A, B, C, D, dt_bias], backend=backend, reverse=True), flipped) < 1e-13


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_gradcheck(reverse, softplus):
    inputs = parts(1, 4, 2, 2, 1, 2)

    def run(*tensors: Tensor) -> Tensor:
        return scan(list(tensors), reverse=reverse, softplus=softplus, backend="chunked")

    assert torch.autograd.gradcheck(run, tuple(inputs), fast_mode=True)


@pytest.mark.parametrize("reverse", [True, False])
def test_a_frame_changes_only_what_comes_after_it_in_scan_order(reverse):
    inputs = [part.detach() for part in parts(2, 70, 2, 3, 1, 4)]
    before = scan(inputs, reverse=reverse)
    for part in (inputs[0], inputs[1], inputs[3], inputs[4]):
        part[:, 10] += 1
    change = (scan(inputs, reverse=reverse) - before).abs().amax((0, 2, 3))
    assert change[11 if reverse else 0 : None if reverse else 10].max() < 1e-12
    assert change[10] > 1e-3
    assert change[9 if reverse else 11] > 1e-6


def test_strong_decay_and_long_steps_neither_overflow_nor_vanish(relative_error):
    for offset in (-30.0, 20.0, 1e4):
        inputs = parts(1, 100, 2, 3, 1, 4, dtype=torch.float32)
        inputs[1] = (inputs[1].detach() + offset).requires_grad_()
        wide = [part.detach().double() for part in inputs]
        got = scan(inputs, backend="chunked")
        assert relative_error(got, scan(wide, backend="reference")) < 1e-5
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(got.square().sum(), inputs))


def test_non_contiguous_inputs(relative_error):
    inputs = parts(2, 9, 2, 4, 1, 3)
    apart = [torch.stack([part, part], -1)[..., 0] for part in inputs]
    assert not apart[0].is_contiguous()
    assert relative_error(scan(apart), scan(inputs)) < 1e-14


def test_the_state_is_kept_in_float32_under_autocast(relative_error):
    inputs = parts(2, 40, 2, 3, 1, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        got = scan(inputs)
    assert relative_error(got, scan(inputs)) < 1e-7


def test_auto_is_the_recurrence_on_a_cpu_and_chunks_on_a_gpu():
    for machine, backend in (("cpu", "numba"), ("cuda", "chunked")):
        with recording() as used, simulating(machine):
            scan(parts(*SHAPES[1]))
        assert used == {"ssd_scan": {backend}}


def test_fake_tensors_pass_forward_and_backward_so_that_memory_can_be_planned():
    with FakeTensorMode(allow_non_fake_inputs=True), simulating("cuda"):
        inputs = [torch.empty(part.shape, requires_grad=True) for part in parts(*SHAPES[0])]
        for backend in ("chunked", "mamba_ssm"):
            y = scan(inputs, reverse=True, backend=backend)
            gradients = torch.autograd.grad(y.sum(), inputs)
    assert y.shape == inputs[0].shape
    assert [g.shape for g in gradients] == [part.shape for part in inputs]


def test_inputs_that_do_not_fit_are_refused():
    x, dt, A, B, C, D, dt_bias = parts(2, 6, 4, 3, 2, 2)
    for inputs, message in (
        ([x, dt[:, :5], A, B, C, D, dt_bias], r"takes dt of shape \(2, 6, 4\), got \(2, 5, 4\)"),
        ([x[:, :, :3], dt, A, B, C, D, dt_bias], "heads a multiple of groups"),
        ([x, dt, A, B, C, D.to("meta"), dt_bias], "takes tensors of one device, got x on cpu and D on meta"),
        ([x, dt, A, B.long(), C, D, dt_bias], "takes B of a floating dtype, got torch.int64"),
    ):
        with pytest.raises(ValueError, match=message):
            scan(inputs)
    with pytest.raises(ValueError, match="backend 'mamba_ssm' of ssd_scan cannot run: it runs on cuda tensors"):
        scan([x, dt, A, B, C, D, dt_bias], backend="mamba_ssm")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and mamba-ssm")
@pytest.mark.parametrize("reverse", [True, False])
def test_mamba_ssm_equals_the_float64_reference(reverse, relative_error):
    pytest.importorskip("mamba_ssm.ops.triton.ssd_combined", reason="needs mamba-ssm")
    inputs = [part.detach().cuda().requires_grad_() for part in parts(2, 200, 4, 64, 1, 64, dtype=torch.bfloat16)]
    compare(inputs, relative_error, 2e-2, backend="mamba_ssm", reverse=reverse)


def test_a_batch_beyond_the_packages_grid_is_cut(monkeypatch):
    from vdmbench.ops import mamba_ssm_ssd

    seen = []
    monkeypatch.setattr(mamba_ssm_ssd, "_GRID", 4)
    planned = mamba_ssm_ssd._Planned.apply
    monkeypatch.setattr(
        mamba_ssm_ssd._Planned, "apply", lambda x, *rest: seen.append(len(x)) or planned(x, *rest), raising=False
    )
    with FakeTensorMode(), simulating("cuda"):
        x, dt, A, B = torch.empty(5, 70, 2, 8), torch.empty(5, 70, 2), torch.empty(2), torch.empty(5, 70, 1, 4)
        assert ssd_scan(x, dt, A, B, B, backend="mamba_ssm").shape == x.shape
    assert seen == [2, 2, 1]  # two chunks each
