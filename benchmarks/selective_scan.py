"""What the selective scans cost, beside the ways that peers compute them, all in one run.

    python benchmarks/selective_scan.py                    # prints rows; a minute on two quiet cores
    python benchmarks/selective_scan.py --threads 1 --out benchmarks/cpu/selective_scan.json
    python benchmarks/selective_scan.py --batch 8 --frames 64 --rounds 3

Contenders of one contest take turns over the rounds, so that a slow moment of the machine falls on all of them; ratios are
taken within a round. On a machine with other work, one thread and CPU seconds say more than seconds of the clock. Extra memory
is resident memory beyond what was resident before a step, between its forward and backward pass and at its peak, the output
and the gradients of all inputs included, in a process of its own. Needs mambapy for `mambapy_pscan`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.ops import Direction, bidirectional_selective_scan, selective_scan

Scan = Callable[[Direction, Direction, Tensor], Tensor]


def numba(ahead: Direction, back: Direction, gate: Tensor) -> Tensor:
    return selective_scan(*ahead[:6], dt_bias=ahead.dt_bias, backend="numba")


def loop(ahead: Direction, back: Direction, gate: Tensor) -> Tensor:
    """PyTorch, frame by frame, over `unbind`."""
    return selective_scan(*ahead[:6], dt_bias=ahead.dt_bias, backend="reference")


def mambapy_pscan(ahead: Direction, back: Direction, gate: Tensor) -> Tensor:
    """The parallel scan of mambapy, with the maps around it as its Mamba block has them."""
    from mambapy.pscan import pscan
    assert ahead.D is not None
    assert ahead.dt_bias is not None
    delta = F.softplus(ahead.dt + ahead.dt_bias)
    states = pscan(torch.exp(delta[..., None] * ahead.A), delta[..., None] * ahead.B[:, :, None] * ahead.x[..., None])
    return (states @ ahead.C[..., None])[..., 0] + ahead.D * ahead.x


def bidirectional_fused(ahead: Direction, back: Direction, gate: Tensor) -> Tensor:
    return bidirectional_selective_scan(ahead, back, gate=gate, backend="numba")


def bidirectional_flips(ahead: Direction, back: Direction, gate: Tensor) -> Tensor:
    """Two one-directional scans, the second of flipped frames, as bidirectional blocks are commonly written."""
    first = numba(ahead, back, gate)
    flipped = [part.flip(1) for part in (back.x, back.dt, back.B, back.C)]
    second = numba(Direction(flipped[0], flipped[1], back.A, flipped[2], flipped[3], back.D, back.dt_bias), back, gate).flip(1)
    return (first + second) * F.silu(gate)


CONTESTS: tuple[tuple[Scan, ...], ...] = ((numba, loop, mambapy_pscan), (bidirectional_fused, bidirectional_flips))
CONTENDERS = {scan.__name__: scan for contest in CONTESTS for scan in contest}
AXES = ("batch", "frames", "channels", "state")
RATIOS = [(scan.__name__, best.__name__) for best, *others in CONTESTS for scan in others]


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (*zip(AXES, (64, 256, 224, 16), strict=True), ("rounds", 9)):
        arguments.add_argument(f"--{name}", type=int, default=value)
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--extra-memory-of", choices=CONTENDERS, help="print the extra memory of one contender")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    shape = (options.batch, options.frames, options.channels, options.state)
    if options.extra_memory_of:
        print(json.dumps(extra_memory(CONTENDERS[options.extra_memory_of], shape)))
        return
    rows = [*time_rows(shape, options.rounds), *memory_rows(shape)]
    for row in rows:
        print(json.dumps(row))
    if options.out:
        machine = {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads(),
                   "torch": torch.__version__}
        report = {"machine": machine, "shape": dict(zip(AXES, shape, strict=True)), "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def random_inputs(shape: tuple[int, int, int, int]) -> tuple[Direction, Direction, Tensor]:
    """Two directions and a gate, with A and dt as Mamba starts them."""
    torch.manual_seed(0)
    batch, frames, channels, state = shape

    def direction() -> Direction:
        A = -torch.arange(1.0, state + 1).repeat(channels, 1)
        x, dt = torch.randn(2, batch, frames, channels).unbind()
        B, C = torch.randn(2, batch, frames, state).unbind()
        parts = (x.clone(), dt.clone(), A, B.clone(), C.clone(), torch.ones(channels), torch.full((channels,), -4.0))
        return Direction(*(part.requires_grad_() for part in parts))

    return direction(), direction(), torch.randn(batch, frames, channels, requires_grad=True)


class Seconds(NamedTuple):
    """Seconds of a forward pass and of a whole step, by the clock and of CPU time."""

    forward: float
    step: float
    forward_cpu: float
    step_cpu: float


def step(scan: Scan, inputs: tuple[Direction, Direction, Tensor], gradient: Tensor) -> Seconds:
    """One forward and backward pass."""
    for part in (*inputs[0], *inputs[1], inputs[2]):
        part.grad = None
    clock, cpu = [time.perf_counter()], [time.process_time()]
    y = scan(*inputs)
    clock.append(time.perf_counter())
    cpu.append(time.process_time())
    y.backward(gradient)
    clock.append(time.perf_counter())
    cpu.append(time.process_time())
    return Seconds(clock[1] - clock[0], clock[2] - clock[0], cpu[1] - cpu[0], cpu[2] - cpu[0])


def time_rows(shape: tuple[int, int, int, int], rounds: int) -> list[dict[str, Any]]:
    """Medians and interquartile range of each contender, then the ratios of whole steps; the first round is warm-up."""
    inputs, gradient = random_inputs(shape), torch.randn(shape[:3])
    taken: dict[str, list[Seconds]] = {name: [] for name in CONTENDERS}
    for contest in CONTESTS:
        for _ in range(rounds + 1):
            for scan in contest:
                taken[scan.__name__].append(step(scan, inputs, gradient))
    rows: list[dict[str, Any]] = []
    for name, measured in taken.items():
        medians = {f"{field}_seconds": round(statistics.median(column), 4)
                   for field, column in zip(Seconds._fields, zip(*measured[1:], strict=True), strict=True)}
        low, _, high = statistics.quantiles([seconds.step for seconds in measured[1:]], n=4)
        rows.append({"contender": name, **medians, "step_iqr_seconds": round(high - low, 4),
                     "forward_state_updates_per_cpu_second": round(math.prod(shape) / medians["forward_cpu_seconds"])})
    for slow, fast in RATIOS:
        pairs = list(zip(taken[slow][1:], taken[fast][1:], strict=True))
        rows.append({"ratio": f"{slow} / {fast}", "step": round(statistics.median(a.step / b.step for a, b in pairs), 2),
                     "step_cpu": round(statistics.median(a.step_cpu / b.step_cpu for a, b in pairs), 2)})
    return rows


def memory_rows(shape: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    """Extra memory of each contender, each in its own process, and the ratios."""
    numbers = [f"--{name}={value}" for name, value in zip(AXES, shape, strict=True)]
    extra: dict[str, dict[str, int]] = {}
    for name in CONTENDERS:
        command = [sys.executable, __file__, *numbers, f"--extra-memory-of={name}"]
        extra[name] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    rows: list[dict[str, Any]] = [{"contender": name, **sizes} for name, sizes in extra.items()]
    for more, less in RATIOS:
        ratios = {key: round(size / extra[less][key], 2) for key, size in extra[more].items()}
        rows.append({"ratio": f"{more} / {less}", **ratios})
    return rows


def extra_memory(scan: Scan, shape: tuple[int, int, int, int]) -> dict[str, int]:
    """Bytes beyond those before a step: resident between its passes, and at its peak."""
    step(scan, random_inputs((2, 3, shape[2], shape[3])), torch.randn(2, 3, shape[2]))  # loads kernels and libraries
    inputs, gradient = random_inputs(shape), torch.randn(shape[:3])
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    y = scan(*inputs)
    between = process.memory_info().rss
    y.backward(gradient)
    done.set()
    watcher.join()
    return {"between_passes_bytes": between - before, "peak_bytes": peak - before}


if __name__ == "__main__":
    main()
