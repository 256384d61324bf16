"""The Triton scans of S6: compiled for a GPU that is not here, and where there is one, right on it."""

from __future__ import annotations

import os

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from vdmbench.ops import BackendUnavailable, Direction, bidirectional_selective_scan, selective_scan, simulating

pytest.importorskip("triton", reason="Triton is for Linux")


class NoGPU:
    """What Triton asks of a driver before it launches, for a Hopper GPU."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.mark.parametrize(("how", "dtype"), [(0, torch.float32), (4, torch.bfloat16)], ids=["single", "quasi-separable"])
def test_the_kernels_compile_for_a_gpu(how, dtype, random_direction, monkeypatch, tmp_path):
    """What runs as Python may still be no Triton. Launches are made to compile and stop there."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    compiled = []
    monkeypatch.setattr(
        JITFunction,
        "__getitem__",
        lambda kernel, grid: lambda *arguments, **constants: compiled.append(kernel.warmup(*arguments, grid=grid, **constants)),
    )
    monkeypatch.setattr(driver, "_active", NoGPU())
    parts = random_direction(2, 40, 96, 16, dtype=dtype)
    y = torch.ops.vdmbench.triton_scan(list(parts), list(parts) if how else [], parts.x, how, True, False)[0]
    torch.autograd.grad(y.sum(), parts.A)
    assert [kernel.metadata.name for kernel in compiled if kernel.asm["cubin"]] == ["forward", "backward"]
    assert "shfl" not in compiled[0].asm["ptx"], "in the forward pass no lane needs another: frames lie in a lane"


@pytest.mark.parametrize("merge", ["sum", "product", "concat", "quasi-separable"])
def test_fake_tensors_pass_forward_and_backward(merge, random_direction):
    shapes = [part.shape for part in random_direction(2, 40, 6, 3)]
    with FakeTensorMode(), simulating("cuda"):
        ahead, back = (Direction(*(torch.empty(shape, requires_grad=True) for shape in shapes)) for _ in range(2))
        y = bidirectional_selective_scan(ahead, back, gate=ahead.x, merge=merge, backend="triton")
        gradients = torch.autograd.grad(y.sum(), (*ahead, *back))
    assert y.shape == (2, 40, 12 if merge == "concat" else 6)
    assert [g.shape for g in gradients] == [*shapes, *shapes]


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="interpreted, Triton runs on CPU tensors")
def test_on_cpu_tensors_it_is_refused(random_direction):
    with pytest.raises(BackendUnavailable, match="'triton' of selective_scan cannot run: it runs on cuda tensors, not on cpu"):
        selective_scan(*random_direction(1, 2, 3, 2, dtype=torch.float32)[:6], backend="triton")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("merge", ["sum", "product", "concat", "quasi-separable"])
def test_it_equals_the_float64_reference_on_a_gpu(merge, gated, dtype, random_direction, relative_error):
    tolerance = 1e-5 if dtype is torch.float32 else 1e-2
    for shape in ((700, 37, 224, 16), (3, 300, 33, 5), (1, 1, 1, 1)):
        parts = [
            part.detach().cuda().requires_grad_()
            for seed in (0, 1, 2)
            for part in random_direction(*shape, dtype=dtype, seed=seed)
        ][: 15 if gated else 14]
        wide = [part.detach().double().requires_grad_() for part in parts]
        got, want = (
            bidirectional_selective_scan(
                Direction(*p[:7]), Direction(*p[7:14]), gate=p[14] if gated else None, merge=merge, backend=backend
            )
            for p, backend in ((parts, "triton"), (wide, "reference"))
        )
        assert relative_error(got, want) < tolerance
        weight = torch.randn_like(got)
        gotten = torch.autograd.grad((got * weight).sum(), parts, retain_graph=True)
        wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
        for one, other in zip(gotten, wanted, strict=True):
            assert relative_error(one, other) < tolerance
        again = torch.autograd.grad((got * weight).sum(), parts)
        assert all(torch.equal(one, other) for one, other in zip(gotten, again, strict=True)), "to the last bit"
