"""Convolutions over frames against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vdmbench.ops import BackendUnavailable, causal_conv1d, long_convolution, s4d_kernel, simulating

SHAPES = [(2, 9, 5), (1, 1, 1), (3, 2, 4), (2, 64, 3)]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype).requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("taps", [1, 4])
def test_causal_conv1d_is_the_sum_over_taps(shape, taps):
    x, weight, bias = normal(*shape), normal(shape[-1], taps, seed=1), normal(shape[-1], seed=2)
    want = torch.stack(
        [
            bias + sum(weight[:, k] * x[:, t - (taps - 1) + k] for k in range(taps) if t - (taps - 1) + k >= 0)
            for t in range(shape[1])
        ],
        1,
    )
    torch.testing.assert_close(causal_conv1d(x, weight, bias), want)


@pytest.mark.parametrize("shape", SHAPES)
def test_reverse_is_flip_convolve_flip(shape):
    x, weight, kernel = normal(*shape), normal(shape[-1], 4, seed=1), normal(shape[-1], shape[1], seed=2)
    torch.testing.assert_close(causal_conv1d(x, weight, reverse=True), causal_conv1d(x.flip(1), weight).flip(1))
    torch.testing.assert_close(long_convolution(x, kernel, reverse=True), long_convolution(x.flip(1), kernel).flip(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_long_convolution_is_the_sum_over_the_past(shape, dtype, tolerance, relative_error):
    x, kernel = normal(*shape, dtype=dtype), normal(shape[-1], shape[1], seed=1, dtype=dtype)
    wide, wide_kernel = x.double(), kernel.double()
    want = torch.stack([sum(wide_kernel[:, t - s] * wide[:, s] for s in range(t + 1)) for t in range(shape[1])], 1)
    got = long_convolution(x, kernel)
    assert got.dtype is dtype
    assert relative_error(got, want) < tolerance
    gotten, wanted = (torch.autograd.grad(y.sum(), (x, kernel)) for y in (got, want))
    for one, other in zip(gotten, wanted, strict=True):
        assert relative_error(one, other) < tolerance


@pytest.mark.parametrize("convolve", [causal_conv1d, long_convolution])
def test_gradcheck_and_causality(convolve):
    x, weight = normal(2, 6, 3), normal(3, 6 if convolve is long_convolution else 4, seed=1)
    assert torch.autograd.gradcheck(convolve, (x, weight))
    assert torch.autograd.gradcheck(lambda *a: convolve(*a, reverse=True), (x, weight))
    later = x.detach().clone()
    later[:, 4:] += 1
    torch.testing.assert_close(convolve(later, weight)[:, :4], convolve(x, weight)[:, :4])
    assert not torch.isclose(convolve(later, weight, reverse=True)[:, :4], convolve(x, weight, reverse=True)[:, :4]).all()


def test_the_s4d_kernel_is_the_impulse_response_of_the_discretised_system():
    """h_t = exp(dt A) h_{t-1} + (exp(dt A) - 1) / A x_t, y_t = 2 Re C . h_t, run step by step on an impulse."""
    channels, modes, frames = 3, 4, 10
    dt = normal(channels).detach().exp() / 10
    frequencies = math.pi * torch.arange(modes, dtype=torch.float64).expand(channels, modes)
    A = torch.complex(torch.full_like(frequencies, -0.5), frequencies)
    C = torch.complex(normal(channels, modes, seed=1), normal(channels, modes, seed=2)).detach()
    step = torch.exp(dt[:, None] * A)
    h = (step - 1) / A
    responses = []
    for _ in range(frames):
        responses.append(2 * (C * h).sum(-1).real)
        h = step * h
    torch.testing.assert_close(s4d_kernel(dt, A, C, frames), torch.stack(responses, -1))


def test_the_s4d_kernel_gradcheck():
    dt, real, imaginary = normal(2).detach().exp() / 10, normal(2, 3, seed=1), normal(2, 3, seed=2)
    inputs = (dt.requires_grad_(), real, imaginary)
    assert torch.autograd.gradcheck(
        lambda dt, re, im: s4d_kernel(dt, torch.complex(-re.exp(), im), torch.complex(im, re), 5), inputs
    )


def test_shapes_that_do_not_fit_are_refused():
    x = torch.randn(2, 5, 3)
    with pytest.raises(ValueError, match=r"weight \(channels, taps\), neither empty, got \(2, 5, 3\) and \(4, 4\)"):
        causal_conv1d(x, torch.randn(4, 4))
    with pytest.raises(ValueError, match=r"kernel \(channels, frames\), none empty, got \(2, 5, 3\) and \(3, 4\)"):
        long_convolution(x, torch.randn(3, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and causal-conv1d")
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_the_causal_conv1d_package_equals_the_float64_reference(dtype, tolerance, reverse, silu, relative_error):
    pytest.importorskip("causal_conv1d", reason="needs causal-conv1d")
    parts = [
        part.detach().cuda().requires_grad_()
        for part in (normal(3, 65, 24, dtype=dtype), normal(24, 4, seed=1, dtype=dtype), normal(24, seed=2, dtype=dtype))
    ]
    wide = [part.detach().double().requires_grad_() for part in parts]
    got = causal_conv1d(*parts, silu=silu, reverse=reverse, backend="causal_conv1d")
    want = causal_conv1d(*wide, silu=silu, reverse=reverse, backend="torch")
    assert relative_error(got, want) < tolerance
    wanted = torch.autograd.grad(want.sum(), wide)
    for one, other in zip(torch.autograd.grad(got.sum(), parts), wanted, strict=True):
        assert relative_error(one, other) < tolerance


def test_what_the_package_has_no_kernel_for_is_refused_by_name():
    with simulating("cuda"):
        for shape, taps, why in (((2, 9, 16), 7, "2 to 4 taps, not 7"), ((2, 9, 5), 4, "multiples of 8 and no float64, not 5")):
            x, weight = normal(*shape, dtype=torch.float32), normal(shape[-1], taps, seed=1, dtype=torch.float32)
            with pytest.raises(BackendUnavailable, match=why):
                causal_conv1d(x, weight, backend="causal_conv1d")


@pytest.mark.parametrize(("frames", "channels", "taps", "ahead"), [(5, 3, 7, 3), (40, 160, 5, 2), (1, 24, 3, 1), (9, 16, 4, 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_short_convolution_on_the_cpu_is_that_of_torch(frames, channels, taps, ahead, reverse):
    """Windows on both sides of a frame, and clips of several blocks; and the same bits on one thread and on two."""
    x, weight, bias = normal(70, frames, channels), normal(channels, taps, seed=1), normal(channels, seed=2)
    threads = torch.get_num_threads()
    results = []
    try:
        for backend, count in (("torch", threads), ("numba", 1), ("numba", 2)):
            torch.set_num_threads(count)
            y = causal_conv1d(x, weight, bias, silu=True, ahead=ahead, reverse=reverse, backend=backend)
            results.append((y, *torch.autograd.grad(y.sin().sum(), (x, weight, bias))))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(results[1], results[0])
    assert all(torch.equal(one, two) for one, two in zip(results[1], results[2], strict=True))
