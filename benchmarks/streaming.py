"""Five minutes of video in 80 GiB: whole clips against chunk by chunk, simulated for a CUDA device on any machine.

    python benchmarks/streaming.py benchmarks/simulated/five_minutes

The network of ``memory_scaling`` (unet3d, base 32, 64 x 64 pixels, one clip, bf16). Whole clips: the most frames that training
and sampling have room for. Chunk by chunk: the peak once so many frames are made. Takes minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vdmbench.matching import solve
from vdmbench.matching.simulation import simulate
from vdmbench.matching.solver import Unreachable
from vdmbench.matching.workload import Workload
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import FlowDiffusion

BUDGET = "80GiB"
LENGTHS = (1, 24, 240, 1024, 2048, 4096, 7200)
NETWORK: dict[str, Any] = {"name": "unet3d", "base_channels": 32, "multipliers": [1, 2, 4, 8]}
WHOLE: dict[str, dict[str, Any]] = {
    "attention, un-fused": {"name": "attention", "backend": "math"},
    "attention, fused": {"name": "attention"},
    "mamba": {"name": "mamba"},
}
STREAMED: dict[str, dict[str, Any]] = {
    "attention": {"name": "attention", "causal": True},
    "sliding-attention, 32 frames": {"name": "sliding-attention", "causal": True, "window": 32},
    "mamba": {"name": "mamba"},
    "mamba2": {"name": "mamba2"},
    "gated-delta-net": {"name": "gated-delta-net"},
    "lstm": {"name": "lstm"},
}
SUITE = """\
schema: 1
name: five_minutes_whole
network: {network}
variants: {{whole: {{mixer: {mixer}}}}}
match: {{quantity: memory, phase: {phase}, budget: {budget}, knob: frames, tolerance: 50%}}
data: {{source: {{name: maze, video_frames: 20000}}, frames: 256, size: 64}}
train: {{steps: 2, batch_size: 1, ema: 0.999, precision: bf16}}
sample: {{sampler: ddim, steps: 2, clips: 1, batch_size: 1, precision: bf16}}
evaluate: {{metrics: [ste-fd], real_clips: 2}}
"""


def longest(mixer: dict[str, Any], phase: str) -> str:
    """The most frames of a whole clip."""
    text = SUITE.format(network=NETWORK, mixer=mixer, phase=phase, budget=BUDGET)
    (cell,) = expand(*parse_suite(text))
    try:
        return f"{solve(cell.inputs).solved.knobs['frames']:,}"
    except Unreachable as error:
        return str(error)


def rollout_peak(mixer: dict[str, Any], frames: int) -> float:
    """GiB at the last frame of so many."""
    sample = Sample(
        sampler="euler", steps=4, frames=frames, rollout={"chunk": 1}, clips=1, batch_size=1, precision="bf16"
    )
    train, process = Train(steps=1, batch_size=1), FlowDiffusion(process="flow", levels="frame")
    workload = Workload(NETWORK, mixer, 16, 64, train, sample, process)
    return simulate(workload, ("sample",))["sample"].allocated_peak_bytes / 2**30


def lines() -> Iterator[str]:
    """The two tables, as they are made."""
    yield f"Whole clips: the most frames in {BUDGET} (simulated, allocated).\n"
    yield "| variant | training | sampling |"
    yield "|---|---|---|"
    for name, mixer in WHOLE.items():
        yield f"| {name} | {longest(mixer, 'train')} | {longest(mixer, 'sample')} |"
    yield "\nFrame by frame: GiB while frame N is made (simulated, allocated; fp32 states, bf16 autocast).\n"
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
