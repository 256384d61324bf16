"""Sliding-window attention: every backend against all pairs in float64, at windows shorter and longer than the clip."""

from __future__ import annotations

import pytest
import torch

from vdmbench.ops import attention, recording, sliding_attention

BACKENDS = ("blocks", "sdpa", "math")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("frames", "window"), [(1, 1), (7, 3), (13, 4), (16, 4), (5, 99)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_sees_the_frames_within_its_window(backend, frames, window, causal, relative_error):
    torch.manual_seed(0)
    wide = [torch.randn(2, 3, frames, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    frame = torch.arange(frames)
    back = frame[:, None] - frame
    seen = (back.abs() <= window) & ((back >= 0) | (not causal))
    bias = torch.zeros(frames, frames, dtype=torch.float64).masked_fill(~seen, float("-inf")).expand(3, -1, -1)
    want = attention(*wide, bias=bias, backend="math")
    wanted = torch.autograd.grad(want.square().sum(), wide)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        inputs = [part.detach().to(dtype).requires_grad_() for part in wide]
        got = sliding_attention(*inputs, window=window, causal=causal, backend=backend)
        assert got.dtype is dtype
        assert relative_error(got, want) < tolerance
        if dtype is not torch.bfloat16:
            for one, other in zip(torch.autograd.grad(got.square().sum(), inputs), wanted, strict=True):
                assert relative_error(one, other) < tolerance


def test_auto_is_blocks_and_wrong_input_is_refused():
    q = torch.randn(1, 1, 4, 8)
    with recording() as used:
        sliding_attention(q, q, q, window=2)
    assert used == {"sliding_attention": {"blocks"}}
    with pytest.raises(ValueError, match="a window of at least 1 frame, got 0"):
        sliding_attention(q, q, q, window=0)
    with pytest.raises(ValueError, match="q, k, v of one shape"):
        sliding_attention(q, q[:, :, :3], q, window=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("backend", ["blocks", "sdpa", "flex"])
def test_on_a_gpu_every_backend_sees_the_frames_within_its_window(backend, causal, relative_error):
    inputs = [torch.randn(4, 2, 130, 32, device="cuda", requires_grad=True) for _ in range(3)]
    wide = [part.detach().double().requires_grad_() for part in inputs]
    want = sliding_attention(*wide, window=16, causal=causal, backend="math")
    got = sliding_attention(*inputs, window=16, causal=causal, backend=backend)
    assert relative_error(got, want) < 1e-5
    wanted = torch.autograd.grad(want.square().sum(), wide)
    for one, other in zip(torch.autograd.grad(got.square().sum(), inputs), wanted, strict=True):
        assert relative_error(one, other) < 1e-5
