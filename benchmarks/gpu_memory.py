"""Simulated CUDA memory against measured, on a machine with a GPU.

    python benchmarks/gpu_memory.py                       # every mixer, 16 to 512 frames, batch 1 and 8: an hour or so
    python benchmarks/gpu_memory.py --only mamba --frames 16,64 --batches 1

Each workload is simulated, and trained and sampled for real in a process of its own; both tell the peaks of training and of
sampling. Writes benchmarks/<the GPU's name>/gpu_memory.json with device and versions, and prints a table. It also records one
real allocator, from its first allocation on, reduced to what a trace is read from, for a test that replays it through the
model of the allocator: tests/memory/recorded/<the GPU's name>.json.gz.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from simulated_memory import choices, described

from vdmbench.matching.probe import measure_peaks
from vdmbench.matching.simulation import run_steps, simulate
from vdmbench.matching.target import Target
from vdmbench.measure import capture, hardware_cohort
from vdmbench.memory.architecture import card_like
from vdmbench.memory.storages import StorageTracker
from vdmbench.whole_file import write_atomically

HERE = Path(__file__).parent
RECORDED = HERE.parent / "tests" / "memory" / "recorded"


def _workload(name: str, frames: int, batch: int) -> Any:
    """Planned for a card on which PyTorch takes the kernels that it takes here."""
    workload = described(choices()[name], base=32, multipliers=(1, 2, 4, 8), frames=frames, size=64, batch=batch)
    return replace(workload, target=Target(card_like(torch.cuda.get_device_capability())))


def simulated(name: str, frames: int, batch: int) -> dict[str, Any]:
    """Peaks of both phases, without the GPU."""
    peaks = simulate(_workload(name, frames, batch))
    return {phase: peak.model_dump(exclude={"holders", "least_capacity_bytes"}) for phase, peak in peaks.items()}


def measured(name: str, frames: int, batch: int) -> dict[str, Any]:
    """Peaks of the phases that fitted."""
    return dict(measure_peaks(_workload(name, frames, batch)))


def recorded() -> dict[str, Any]:
    """The history of one real run's allocator: what `from_snapshot` reads of it, and the peak that it told itself."""
    torch.cuda.memory._record_memory_history(max_entries=5_000_000, stacks="python", context=None)
    workload = described(choices()["mamba both"], base=32, multipliers=(1, 2, 4, 8), frames=16, size=64, batch=1)
    run_steps(workload, torch.device("cuda"), StorageTracker("cuda"))
    snapshot = torch.cuda.memory._snapshot()
    entries = [
        {key: entry[key] for key in ("action", "addr", "size") if key in entry}
        for entry in snapshot["device_traces"][torch.cuda.current_device()]
        if entry["action"] != "free_requested"
    ]
    return {
        "device_traces": [entries],
        "allocated_peak_bytes": torch.cuda.max_memory_allocated(),
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
    }


_ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {"simulated": simulated, "measured": measured, "recorded": recorded}


def in_a_fresh_process(answer: str, *arguments: Any) -> dict[str, Any]:
    """One of the functions above, where no allocator, workspace or device type is left of what ran before."""
    question = [sys.executable, __file__, "--answer", json.dumps([answer, *arguments])]
    done = subprocess.run(question, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        sys.exit(f"gpu_memory.py: {answer} {arguments} exited with {done.returncode}; what it said stands above")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def rows_of(name: str, frames: int, batch: int) -> list[dict[str, Any]]:
    """A row for each phase; its measured peaks are null where it ran out of memory."""
    told, found = (in_a_fresh_process(answer, name, frames, batch) for answer in ("simulated", "measured"))
    return [
        {
            "mixer": name, "frames": frames, "batch": batch, "phase": phase,
            "simulated": told[phase], "measured": found.get(phase),
        }
        for phase in told
    ]  # fmt: skip


def shown(row: dict[str, Any]) -> str:
    """A line of the table: GiB, and by how much the simulation is off."""
    told, found = row["simulated"], row["measured"]
    line = f"{row['mixer']:<26} {row['frames']:>4} x {row['batch']}  {row['phase']:<7}"
    for kind in ("allocated", "reserved"):
        key = f"{kind}_peak_bytes"
        line += f"  {kind} {told[key] / 2**30:8.3f}"
        line += "   out of memory" if found is None else f" {found[key] / 2**30:8.3f} {told[key] / found[key] - 1:+7.2%}"
    return line


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--frames", default="16,64,256,512")
    arguments.add_argument("--batches", default="1,8")
    arguments.add_argument("--only", help="mixers whose name contains this; nothing is written")
    arguments.add_argument("--answer", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.answer:
        answer, *asked = json.loads(options.answer)
        print(json.dumps(_ANSWERS[answer](*asked)))
        return
    if not torch.cuda.is_available():
        sys.exit("gpu_memory.py measures on a GPU, and torch finds none here; simulated_memory.py holds against the CPU")
    rows = []
    for name in choices():
        if options.only and options.only not in name:
            continue
        for frames in map(int, options.frames.split(",")):
            for batch in map(int, options.batches.split(",")):
                for row in rows_of(name, frames, batch):
                    print(shown(row), flush=True)
                    rows.append(row)
    if options.only:
        return
    environment = capture()
    kind = hardware_cohort(environment, "cuda")
    out, recording = HERE / kind / "gpu_memory.json", RECORDED / f"{kind}.json.gz"
    for path in (out, recording):
        path.parent.mkdir(parents=True, exist_ok=True)
    about = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda,
             "cudnn": torch.backends.cudnn.version()}  # fmt: skip
    lines = ",\n ".join(json.dumps(row) for row in rows)
    write_atomically(out, f'{{"about": {json.dumps(about)}, "rows": [\n {lines}]}}\n'.encode())
    write_atomically(recording, gzip.compress(json.dumps(in_a_fresh_process("recorded")).encode(), mtime=0))
    print(out, recording, sep="\n")


if __name__ == "__main__":
    main()
