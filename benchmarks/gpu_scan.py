"""What the bidirectional selective scan costs on a CUDA device: the fused Triton kernel beside two calls of mamba_ssm.

    python benchmarks/gpu_scan.py --out benchmarks/h200/bidirectional_scan.json
    python benchmarks/gpu_scan.py --sites 512 --frames 16 64 --dtypes bfloat16 --rounds 5

Both get tensors (batch x sites, frames, channels), as a mixer holds them: mamba_ssm's kernel wants frames adjacent and has no
reverse, so its second call is of flipped frames and both transpose, which is counted. Contenders take turns over the rounds;
the first round, in which kernels compile, is left out. Extra memory is the allocator's peak over a forward and backward pass
beyond what was allocated before, the output and the gradients of all inputs included. The bandwidth of a forward pass counts
every input once and the output once, and is set against that of a copy as large as the output. Before anything is timed, each
contender is held to the float64 reference at a small shape. A contender that is absent or runs out of memory leaves a row that
says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops import Direction, bidirectional_selective_scan
from vdmbench.ops.backends import statuses

CONTENDERS = ("triton", "mamba_ssm")
FASTER, LEANER, BANDWIDTH = 1.5, 0.6, 0.6
"""Goals: step time of mamba_ssm over ours at least, our memory over its at most, share of the copy bandwidth at least."""


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sites", type=int, default=8192, help="batch x sites")
    arguments.add_argument("--frames", type=int, nargs="+", default=[16, 64, 256, 1024])
    arguments.add_argument("--channels", type=int, default=224)
    arguments.add_argument("--state", type=int, default=16)
    arguments.add_argument("--dtypes", nargs="+", choices=("bfloat16", "float32"), default=["bfloat16", "float32"])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if not torch.cuda.is_available():
        sys.exit("gpu_scan.py measures on a CUDA device, and torch finds none; CPU scans: python benchmarks/selective_scan.py")
    absent = {status.backend: status.why_not for status in statuses("cuda")
              if status.op == "bidirectional_selective_scan" and status.backend in CONTENDERS and status.why_not}
    rows: list[dict[str, Any]] = [{"contender": name, "absent": reason} for name, reason in absent.items()]
    contenders = [name for name in CONTENDERS if name not in absent]
    for dtype in (getattr(torch, name) for name in options.dtypes):
        rows += [{"contender": name, "dtype": str(dtype), "relative_error": relative_error(name, dtype)} for name in contenders]
        for frames in options.frames:
            rows += measure(contenders, (options.sites, frames, options.channels, options.state), dtype, options.rounds)
    for row in rows:
        print(json.dumps(row))
    if options.out:
        import triton
        machine = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda,
                   "triton": triton.__version__}
        goals = {"step_ratio_at_least": FASTER, "memory_ratio_at_most": LEANER, "copy_share_at_least": BANDWIDTH}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine, "goals": goals, "rows": rows}, indent=1) + "\n")


def random_inputs(shape: tuple[int, int, int, int], dtype: torch.dtype) -> list[Tensor]:
    """Two directions and a gate, with A and dt as Mamba starts them; parameters in float32, as under autocast."""
    torch.manual_seed(0)
    sites, frames, channels, state = shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device="cuda", dtype=dtype)

    def direction() -> list[Tensor]:
        A = -torch.arange(1.0, state + 1, device="cuda").repeat(channels, 1)
        return [normal(sites, frames, channels), normal(sites, frames, channels), A, normal(sites, frames, state),
                normal(sites, frames, state), torch.ones(channels, device="cuda"), torch.full((channels,), -4.0, device="cuda")]

    return [part.requires_grad_() for part in (*direction(), *direction(), normal(sites, frames, channels))]


def scan(inputs: list[Tensor], backend: str) -> Tensor:
    return bidirectional_selective_scan(Direction(*inputs[:7]), Direction(*inputs[7:14]), gate=inputs[14], backend=backend)


def relative_error(backend: str, dtype: torch.dtype) -> float:
    """The worst relative norm, over output and gradients, of the difference from the float64 reference."""
    inputs = random_inputs((65, 37, 224, 16), dtype)
    wide = [part.detach().double().requires_grad_() for part in inputs]
    got, want = scan(inputs, backend), scan(wide, "reference")
    pairs = [(got, want), *zip(torch.autograd.grad(got.sum(), inputs), torch.autograd.grad(want.sum(), wide), strict=True)]
    return max(float((one.detach().double() - other.detach()).norm() / other.detach().norm()) for one, other in pairs)


def measure(contenders: list[str], shape: tuple[int, int, int, int], dtype: torch.dtype, rounds: int) -> list[dict[str, Any]]:
    """One row a contender, and one that compares them."""
    inputs = random_inputs(shape, dtype)
    d_out = torch.randn_like(inputs[14])
    moved = sum(part.nbytes for part in inputs) + d_out.nbytes
    copy_bandwidth = bandwidth_of_a_copy(d_out, rounds)
    taken: dict[str, list[tuple[float, float, int]]] = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    for _ in range(rounds + 1):
        for name in contenders:
            if name in failed:
                continue
            try:
                taken[name].append(step(inputs, d_out, name))
            except torch.cuda.OutOfMemoryError:
                failed[name] = "out of memory"
            for part in inputs:
                part.grad = None
    case = {"dtype": str(dtype), **dict(zip(("sites", "frames", "channels", "state"), shape, strict=True))}
    rows: list[dict[str, Any]] = []
    for name in contenders:
        if name in failed:
            rows.append({"contender": name, **case, "failed": failed[name]})
            continue
        forward, whole, extra = zip(*taken[name][1:], strict=True)
        low, _, high = statistics.quantiles(whole, n=4)
        rows.append({"contender": name, **case, "forward_seconds": statistics.median(forward),
                     "step_seconds": statistics.median(whole), "step_iqr_seconds": high - low, "extra_bytes": max(extra),
                     "forward_copy_share": moved / statistics.median(forward) / copy_bandwidth,
                     "copy_bytes_per_second": copy_bandwidth})
    if len(rows) == len(CONTENDERS) and not failed:
        ours, theirs = rows
        rows.append({**case, "mamba_ssm_step_over_triton": theirs["step_seconds"] / ours["step_seconds"],
                     "triton_memory_over_mamba_ssm": ours["extra_bytes"] / theirs["extra_bytes"]})
    return rows


def bandwidth_of_a_copy(source: Tensor, rounds: int) -> float:
    """Bytes read and written per second as PyTorch copies a tensor."""
    target = torch.empty_like(source)
    taken = [seconds(lambda: target.copy_(source)) for _ in range(rounds + 1)]
    return 2 * source.nbytes / statistics.median(taken[1:])


def step(inputs: list[Tensor], d_out: Tensor, backend: str) -> tuple[float, float, int]:
    """Seconds of a forward pass and of a whole step, and bytes beyond those before it at its peak."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    outputs: list[Tensor] = []
    forward = seconds(lambda: outputs.append(scan(inputs, backend)))
    backward = seconds(lambda: outputs.pop().backward(d_out))
    return forward, forward + backward, torch.cuda.max_memory_allocated() - before


def seconds(work: Callable[[], Any]) -> float:
    """Device seconds of some work."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


if __name__ == "__main__":
    main()
