"""The Triton kernels: right as Python on the CPU, compiled for GPUs that are not here, one launch a pass, limits by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from test_every_backend import OPS

from vdmbench import ops
from vdmbench.ops import BackendUnavailable, backends, simulating

pytest.importorskip("triton", reason="Triton is for Linux")
FILES = sorted(path.name for path in Path(__file__).parent.glob("triton_*cases.py"))
FUSED = [op for op in OPS if "triton" in {status.backend for status in backends.statuses("cuda") if status.op == op}]


@pytest.mark.parametrize("cases", FILES)
def test_the_kernels_are_right_as_python_on_the_cpu(cases: str) -> None:
    """In a process of its own: Triton reads TRITON_INTERPRET as it is imported."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(Path(__file__).parent / cases)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def no_gpu(capability: int) -> Any:
    """What Triton asks of a driver before it launches, for an NVIDIA GPU of that capability."""
    from triton.backends.compiler import GPUTarget

    class NoGPU:
        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", capability, 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    return NoGPU()


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Runs an op forward and backward with launches that are recorded and go nowhere; compiled where a capability is given."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    anywhere = {
        op: tuple(replace(each, devices=()) if each.name == "triton" else each for each in found)
        for op, found in backends._ops.items()
    }
    monkeypatch.setattr(backends, "_ops", anywhere)

    def run(name: str, size: tuple[int, ...], dtype: torch.dtype, options: dict[str, Any], capability: int | None) -> list[Any]:
        recorded: list[Any] = []

        def launch(kernel: Any, grid: Any) -> Callable[..., None]:
            def called(*arguments: Any, **constants: Any) -> None:
                assert all(side <= limit for side, limit in zip(grid, (2**31 - 1, 65535, 65535), strict=False))
                recorded.append(kernel.warmup(*arguments, grid=grid, **constants) if capability else kernel.fn.__name__)

            return called

        monkeypatch.setattr(JITFunction, "__getitem__", launch)
        if capability:
            monkeypatch.setattr(driver, "_active", no_gpu(capability))
        op = OPS[name]
        parts = [torch.zeros(shape, dtype=dtype, requires_grad=True) for shape in op.shapes(*size)]
        y: Tensor = op.call(*parts, backend="triton", **options)
        torch.autograd.grad(y.sum(), parts, allow_unused=True)
        return recorded

    return run


REAL = {
    "selective_scan": (2, 40, 96, 16),
    "bidirectional_selective_scan": (2, 40, 96, 16),
    "ssd_scan": (2, 70, 2, 64, 1, 64),
    "quasi_separable_scan": (2, 70, 2, 64, 1, 64),
    "gated_delta_scan": (2, 70, 2, 32, 32),
    "causal_conv1d": (2, 70, 128, 7),
    "group_norm_silu": (4, 33, 16, 96),
    "long_convolution": (40, 70, 128),
    "attention": (2, 3, 70, 64),
}


@pytest.mark.parametrize(("capability", "dtype"), [(80, torch.bfloat16), (90, torch.bfloat16), (90, torch.float32)], ids=str)
@pytest.mark.parametrize("name", FUSED)
def test_it_compiles_for_a_gpu(
    name: str, capability: int, dtype: torch.dtype, launches: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    """What runs as Python may still be no Triton. Launches are made to compile and stop there."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    compiled = launches(name, REAL[name], dtype, OPS[name].options[-1], capability)
    assert [kernel.metadata.name for kernel in compiled if kernel.asm["cubin"]] == ["forward", "backward"]
    shared = 163 if capability == 80 else 227  # KiB that a block may have
    assert all(kernel.metadata.shared <= shared * 1024 for kernel in compiled)


def _of(name: str, frames: int) -> tuple[int, ...]:
    """The size of that op's case with another number of frames."""
    place = 2 if name == "attention" else 1
    return (*REAL[name][:place], frames, *REAL[name][place + 1 :])


@pytest.mark.parametrize("name", FUSED)
def test_launches_do_not_grow_with_frames(name: str, launches: Any) -> None:
    few, many = (
        launches(name, _of(name, frames), torch.bfloat16, OPS[name].taken_by("triton")[0], None) for frames in (1, 700)
    )
    assert few == many == ["forward", "backward"]


@pytest.mark.parametrize("name", FUSED)
def test_on_cpu_tensors_it_is_refused(name: str) -> None:
    op = OPS[name]
    with pytest.raises(BackendUnavailable, match=f"'triton' of {name} cannot run: it runs on cuda tensors, not on cpu"):
        op.call(*(torch.zeros(shape) for shape in op.shapes(*op.sizes[0])), backend="triton", **op.taken_by("triton")[0])


def test_sizes_that_the_kernels_do_not_take_go_to_another_backend_and_are_refused_by_name() -> None:
    with simulating("cuda"):
        x, dt, A, B = torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1), torch.zeros(1), torch.zeros(1, 2, 1, 129)
        with ops.recording() as used:
            ops.ssd_scan(x, dt, A, B, B)
        assert used == {"ssd_scan": {"chunked"}}
        with pytest.raises(BackendUnavailable, match="it takes at most 128 numbers of state, not 129; use 'chunked'"):
            ops.ssd_scan(x, dt, A, B, B, backend="triton")
        q = torch.zeros(1, 2, 1, 129)
        with ops.recording() as used:
            ops.gated_delta_scan(q, q, q, dt, dt)
        assert used == {"gated_delta_scan": {"chunked"}}
        with pytest.raises(BackendUnavailable, match="heads of at most 128 features, not 129; use 'chunked'"):
            ops.gated_delta_scan(q, q, q, dt, dt, backend="triton")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", FUSED)
def test_it_equals_the_float64_reference_on_a_gpu(name: str, dtype: torch.dtype) -> None:
    from test_every_backend import compare

    with torch.device("cuda"):
        for size in (REAL[name], *OPS[name].sizes):
            for options in OPS[name].taken_by("triton"):
                compare(OPS[name], "triton", size, options, dtype, "contiguous")
