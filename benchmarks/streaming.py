"""Memory while clips are made frame by frame, against frames made: simulated for a CUDA device on any machine.

    python benchmarks/streaming.py benchmarks/simulated/five_minutes

The network of ``memory_scaling`` (unet3d, base 32, 64 x 64 pixels, one clip, bf16), whose whole clips are planned there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vdmbench.matching.simulation import simulate
from vdmbench.matching.workload import Workload
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import FlowDiffusion

LENGTHS = (24, 240, 2048, 7200)
NETWORK: dict[str, Any] = {"name": "unet3d", "base_channels": 32, "multipliers": [1, 2, 4, 8]}
STREAMED: dict[str, dict[str, Any]] = {
    "attention": {"name": "attention", "causal": True},
    "sliding-attention, 32 frames": {"name": "sliding-attention", "causal": True, "window": 32},
    "mamba": {"name": "mamba"},
    "mamba2": {"name": "mamba2"},
    "gated-delta-net": {"name": "gated-delta-net"},
    "lstm": {"name": "lstm"},
}


def rollout_peak(mixer: dict[str, Any], frames: int) -> float:
    """GiB at the last frame of so many."""
    sample = Sample(sampler="euler", steps=4, frames=frames, rollout={"chunk": 1}, clips=1, batch_size=1, precision="bf16")
    train, process = Train(steps=1, batch_size=1), FlowDiffusion(process="flow", levels="frame")
    workload = Workload(NETWORK, mixer, 16, 64, train, sample, process)
    return simulate(workload, ("sample",))["sample"].allocated_peak_bytes / 2**30


def lines() -> Iterator[str]:
    """The table, as it is made."""
    yield "Frame by frame: GiB while frame N is made (simulated, allocated; fp32 states, bf16 autocast).\n"
    yield "| variant | " + " | ".join(f"{length:,}" for length in LENGTHS) + " |"
    yield "|---" * (len(LENGTHS) + 1) + "|"
    for name, mixer in STREAMED.items():
        yield f"| {name} | " + " | ".join(f"{rollout_peak(mixer, length):.3g}" for length in LENGTHS) + " |"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "memory.md").open("w") as file:
        for line in lines():
            print(line, flush=True)
            print(line, file=file, flush=True)
