"""What recomputation, checkpointing, channels-last weights, bf16 and the compiler do to a training step: memory simulated, time
measured. The plain step computes again what is cheap; the row ``recompute none`` says what that saves and costs.

    python benchmarks/efficiency.py --out benchmarks/cpu/efficiency.json            # a minute or two
    python benchmarks/efficiency.py --compile --out benchmarks/cpu/efficiency.json  # and minutes of compiling

All train the same network from the same weights. Steps take turns, after one of each to warm up; the ratio to the plain step is
the median over rounds, with quartiles; on one thread seconds are CPU seconds, which other work on the machine hardly touches.
Memory is the simulated CUDA peak of the same cell, so it says nothing of compiled kernels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from vdmbench.diffusion import Diffusion
from vdmbench.engine import Trainer
from vdmbench.matching.simulation import simulate
from vdmbench.matching.workload import Workload
from vdmbench.measure import capture, hardware_cohort
from vdmbench.networks import build
from vdmbench.suite.blocks import Sample, Train

NETWORK = {"name": "unet3d", "base_channels": 16, "multipliers": [1, 2]}
MIXER = {"name": "attention"}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "recompute none": {"recompute": "none"},
    "checkpointing": {"checkpointing": True},
    "channels_last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "checkpointing, bf16": {"checkpointing": True, "precision": "bf16"},
}


def training(settings: dict[str, Any]) -> Train:
    return Train(steps=1, batch_size=1, ema=None, **settings)


def trainer(settings: dict[str, Any]) -> Trainer:
    torch.manual_seed(0)
    return Trainer(build(NETWORK, MIXER), Diffusion(steps=8), training(settings), 0, torch.device("cpu"))


def peak(settings: dict[str, Any], frames: int, size: int) -> int:
    workload = Workload(NETWORK, MIXER, frames, size, training(settings), Sample(clips=1, batch_size=1))
    return simulate(workload, ("train",))["train"].allocated_peak_bytes


def spread(values: list[float]) -> dict[str, float]:
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def measured(frames: int, size: int, rounds: int, *, compile: bool) -> list[dict[str, Any]]:
    settings = {**SETTINGS, **({"compile": {"compile": True}} if compile else {})}
    # Simulated first: the stand-in device must be there before the first backward pass.
    peaks = {name: None if each.get("compile") else peak(each, frames, size) for name, each in settings.items()}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    clips = torch.randint(0, 256, (1, frames, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    trainers = {name: trainer(each) for name, each in settings.items()}
    taken: dict[str, list[float]] = {name: [] for name in trainers}
    warm_up = {}
    losses = {}
    for number in range(rounds + 1):
        for name in list(trainers)[:: 1 if number % 2 else -1]:
            began, wall = clock(), time.perf_counter()
            loss = trainers[name].step([clips])
            if number:
                taken[name].append(clock() - began)
            else:
                warm_up[name], losses[name] = time.perf_counter() - wall, loss
    return [
        {
            "setting": name,
            "simulated_train_peak_bytes": peaks[name],
            "memory_ratio": None if peaks[name] is None else peaks[name] / peaks["plain"],  # type: ignore[operator]
            "step_seconds": spread(taken[name]),
            "time_ratio": spread([each / plain for each, plain in zip(taken[name], taken["plain"], strict=True)]),
            "first_step_wall_seconds": warm_up[name],
            "first_loss": losses[name],
        }
        for name in settings
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="also through PyTorch's compiler: minutes")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    rows = measured(asked.frames, asked.size, asked.rounds, compile=asked.compile)
    for row in rows:
        memory = "     -" if row["memory_ratio"] is None else f"{row['memory_ratio']:6.3f}"
        ratio = row["time_ratio"]
        print(f"{row['setting']:22} memory {memory}  time {ratio['median']:.3f} ({ratio['q1']:.3f} to {ratio['q3']:.3f})")
    if asked.out is not None:
        environment = capture()
        told = {
            "frames": asked.frames, "size": asked.size, "rounds": asked.rounds, "network": NETWORK, "mixer": MIXER,
            "clock": "process_time" if asked.threads == 1 else "perf_counter", "threads": asked.threads,
            "cohort": hardware_cohort(environment, "cpu"), "torch": torch.__version__, "rows": rows,
        }  # fmt: skip
        asked.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
