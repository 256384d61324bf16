"""Attention by each backend against its definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vdmbench.mixers.rotary import Rotary
from vdmbench.ops import BackendUnavailable, attention, recording, simulating

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}
SHAPES = [(2, 3, 7, 4), (1, 1, 1, 1), (3, 2, 12, 5)]


def random_inputs(shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    _, heads, frames, _ = shape
    shapes = [shape, shape, shape, (heads, frames, frames)]
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]


def by_definition(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    """Vaswani et al. 2017, eq. 1, one query at a time."""
    rows = []
    for t in range(q.shape[2]):
        scores = (q[:, :, t, None] * k).sum(-1) / q.shape[-1] ** 0.5  # (batch, heads, frames)
        if bias is not None:
            scores = scores + bias[:, t]
        seen = t + 1 if causal else q.shape[2]
        weights = scores[..., :seen].softmax(-1)
        rows.append((weights[..., None] * v[:, :, :seen]).sum(2))
    return torch.stack(rows, 2)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("backend", ["math", "sdpa"])
def test_every_backend_equals_the_definition(backend, causal, biased, dtype, relative_error):
    for shape in SHAPES:
        q, k, v, bias = random_inputs(shape, dtype)
        inputs = [q, k, v, *([bias] if biased else [])]
        wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
        want = by_definition(*wide[:3], wide[3] if biased else None, causal)
        got = attention(q, k, v, bias=bias if biased else None, causal=causal, backend=backend)
        assert got.dtype is dtype
        assert relative_error(got, want) < TOLERANCE[dtype]
        weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        wanted = torch.autograd.grad((want * weight).sum(), wide)
        gotten = torch.autograd.grad((got * weight.to(dtype)).sum(), inputs)
        for one, other in zip(gotten, wanted, strict=True):
            if other.norm() > 1e-9:  # one frame: the softmax is 1, and so the gradient of q and k is 0
                assert relative_error(one, other) < 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("backend", ["math", "sdpa"])
def test_gradcheck(backend):
    q, k, v, bias = random_inputs((1, 2, 5, 3), torch.float64)
    assert torch.autograd.gradcheck(lambda *a: attention(*a[:3], bias=a[3], causal=True, backend=backend), (q, k, v, bias))


@pytest.mark.parametrize("backend", ["math", "sdpa"])
@pytest.mark.parametrize("biased", [False, True])
def test_causal_attention_does_not_see_later_frames(backend, biased):
    q, k, v, bias = (tensor.detach() for tensor in random_inputs((2, 2, 9, 4), torch.float64))
    before = attention(q, k, v, bias=bias if biased else None, causal=True, backend=backend)
    for tensor in (q, k, v):
        tensor[:, :, 5:] += 1
    after = attention(q, k, v, bias=bias if biased else None, causal=True, backend=backend)
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:])


def test_non_contiguous_inputs():
    q, k, v, _ = random_inputs((2, 6, 3, 4), torch.float64)
    swapped = [tensor.transpose(1, 2) for tensor in (q, k, v)]  # (batch, frames, heads, head_dim) as a network has them
    for backend in ("math", "sdpa"):
        torch.testing.assert_close(attention(*swapped, backend=backend), by_definition(*swapped, None, False))


def test_shapes_that_do_not_fit_are_refused():
    q = torch.randn(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"none empty, got \(1, 2, 3, 4\), \(1, 2, 5, 4\)"):
        attention(q, torch.randn(1, 2, 5, 4), q)
    with pytest.raises(ValueError, match=r"bias of shape \(2, 3, 3\), got \(3, 3\)"):
        attention(q, q, q, bias=torch.randn(3, 3))


def on_gpu(shape, dtype):
    return [tensor.detach().cuda().requires_grad_() for tensor in random_inputs(shape, dtype)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("backend", ["sdpa", "sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "xformers"])
def test_fused_kernels_on_a_gpu_equal_the_definition(backend, biased, causal, dtype, relative_error):
    for shape in ((2, 3, 64, 32), (5, 2, 37, 64), (1, 1, 1, 8)):
        q, k, v, bias = on_gpu(shape, dtype)
        inputs = [q, k, v, *([bias] if biased else [])]
        wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
        want = by_definition(*wide[:3], wide[3] if biased else None, causal)
        try:
            with recording() as used:
                got = attention(q, k, v, bias=bias if biased else None, causal=causal, backend=backend)
        except BackendUnavailable as refusal:
            pytest.skip(str(refusal))
        assert all(name.startswith(backend) for name in used["attention"]), used
        assert relative_error(got, want) < TOLERANCE[dtype]
        weight = torch.randn_like(got)
        wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
        for one, other in zip(torch.autograd.grad((got * weight).sum(), inputs), wanted, strict=True):
            if other.norm() > 1e-9:
                assert relative_error(one, other) < TOLERANCE[dtype]


@pytest.mark.parametrize("backend", ["sdpa", "sdpa-efficient"])
def test_more_rows_than_a_launch_takes_are_cut(backend, monkeypatch):
    """On CUDA alone; as many launches as are needed, and the same result."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from vdmbench.ops import fused_attention

    q, k, v = (torch.randn(5, 2, 6, 8) for _ in range(3))
    want = attention(q, k, v, backend="sdpa")
    monkeypatch.setattr(fused_attention, "ROWS", 2)
    launched = []
    plain = fused_attention.by_rows
    monkeypatch.setattr(
        fused_attention,
        "by_rows",
        lambda run, *parts: plain(lambda *rows: launched.append(len(rows[0])) or run(*rows), *parts),
    )
    if backend == "sdpa":
        with simulating("cuda"):
            assert torch.equal(attention(q, k, v, backend=backend), want)
    else:
        with FakeTensorMode(), simulating("cuda"):
            assert attention(*(torch.empty(5, 2, 6, 8) for _ in range(3)), backend=backend).shape == want.shape
    assert launched == [2, 2, 1]


@pytest.mark.parametrize("shape", [(2, 3, 7, 4), (3, 2, 16, 24), (1, 1, 1, 2), (17, 2, 37, 16)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_rotating_kernel_equals_rotation_and_definition(shape, causal, dtype, relative_error):
    rotate = Rotary(shape[-1])
    inputs = random_inputs(shape, dtype)[:3]
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    got = attention(*inputs, causal=causal, rotate=rotate, backend="numba")
    want = by_definition(rotate(wide[0]), rotate(wide[1]), wide[2], None, causal)
    assert relative_error(got, want) < TOLERANCE[dtype]
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gotten = torch.autograd.grad((got * weight.to(dtype)).sum(), inputs)
    wanted = torch.autograd.grad((want * weight).sum(), wide)
    for one, other in zip(gotten, wanted, strict=True):
        if other.norm() > 1e-4:  # of one frame the weights are 1 whatever q and k are
            assert relative_error(one, other) < 10 * TOLERANCE[dtype]


def test_the_rotating_kernel_gives_the_future_no_weight_at_all():
    inputs = random_inputs((1, 2, 9, 16), torch.float32)[:3]
    out = attention(*inputs, causal=True, rotate=Rotary(16), backend="numba")
    for gradient in torch.autograd.grad(out[:, :, :4].sum(), inputs):
        assert not gradient[:, :, 4:].any()


@pytest.mark.parametrize("part", range(3))
def test_what_is_not_a_number_stays_none_in_the_rotating_kernel(part):
    inputs = [each.detach() for each in random_inputs((1, 1, 5, 8), torch.float32)[:3]]
    inputs[part][0, 0, 2, 3] = float("nan")
    assert attention(*inputs, rotate=Rotary(8), backend="numba").isnan().any()


def test_the_rotating_kernel_refuses_long_clips_by_name():
    inputs = random_inputs((1, 1, 65, 8), torch.float32)[:3]
    with pytest.raises(BackendUnavailable, match="up to 64 frames"):
        attention(*inputs, backend="numba")
