"""How true simulated memory is, where that can be known without a GPU, and what a simulation takes.

    python benchmarks/simulated_memory.py                  # every mixer against real runs on the CPU; some minutes
    python benchmarks/simulated_memory.py --frames 7200    # seconds and memory of one simulation, at the published widths

The first trains and samples every mixer twice on the CPU: simulated, and really. What is compared: the sizes of all storages
in order; the peak of both; and the peak that PyTorch's CPU allocator counts. The allocator sees what
kernels take inside themselves too, and not what Numba's kernels take through NumPy. oneDNN, whose LSTM keeps a workspace of
unknown size, is switched off for the LSTM. The second simulates CUDA for training and sampling steps of one clip, each mixer
in one direction and in a fresh process. Rows go to benchmarks/cpu/simulated_memory.json and simulated_memory_frames.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from vdmbench import registry
from vdmbench.matching.simulation import run_steps, simulate, trace_workload
from vdmbench.matching.workload import Workload
from vdmbench.measure.live_tensors import LiveTensors
from vdmbench.memory.storages import StorageTracker
from vdmbench.suite.blocks import Sample, Train
from vdmbench.whole_file import write_atomically

OUT = Path(__file__).parent / "cpu"


def choices() -> dict[str, dict[str, Any]]:
    """Every registered mixer in each of its directions, un-fused attention, and a pattern of three."""

    def mixer(name: str, **options: Any) -> dict[str, Any]:
        return {"name": name, **registry.mixers[name].load_options()(**options).model_dump()}

    found: dict[str, dict[str, Any]] = {}
    for entry in registry.mixers:
        if "direction" in entry.load_options().model_fields:
            found.update({f"{entry.name} {way}": mixer(entry.name, direction=way) for way in ("forward", "backward", "both")})
        else:
            found[entry.name] = mixer(entry.name)
    found["attention math"] = mixer("attention", backend="math")
    found["pattern"] = {"stem": mixer("mamba"), "levels": [mixer("s4d"), mixer("mamba2")], "middle": mixer("attention")}
    return found


def described(
    temporal: dict[str, Any], *, base: int, multipliers: tuple[int, ...], frames: int, size: int, batch: int
) -> Workload:
    """Adam, averaged weights, float32."""
    network = registry.networks["unet3d"].load_options()(base_channels=base, multipliers=multipliers).model_dump()
    if "levels" in temporal:
        temporal = {**temporal, "levels": (temporal["levels"] * len(multipliers))[: len(multipliers)]}
    return Workload({"name": "unet3d", **network}, temporal, frames, size, Train(steps=2, batch_size=batch),
                    Sample(clips=2 * batch, batch_size=batch))  # fmt: skip


class _Phases(StorageTracker):
    """Tells a count of live tensors its phases, and follows nothing."""

    def __init__(self, live: LiveTensors) -> None:
        super().__init__("cpu")
        self.phase = live.phase  # type: ignore[method-assign]


def allocator_peaks(workload: Workload) -> dict[str, int]:
    """Peak of each phase by the CPU allocator's own count."""
    with LiveTensors() as live:
        run_steps(workload, torch.device("cpu"), _Phases(live))
    return live.peaks


def hold_against_the_cpu(name: str, temporal: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each phase."""
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = not name.startswith("lstm")
    workload = described(temporal, base=16, multipliers=(1, 2), frames=16, size=16, batch=2)
    simulated = trace_workload(workload, device="cpu")
    with StorageTracker("cpu") as tracker:
        real = run_steps(workload, torch.device("cpu"), tracker)
    counted = allocator_peaks(workload)
    same = [event.nbytes for event in simulated] == [event.nbytes for event in real]
    return [
        {
            "mixer": name, "phase": phase.name, "events": len(real.events), "same_storages": same,
            "simulated_bytes": simulated.requested_peak(phase), "storages_bytes": real.requested_peak(actual),
            "allocator_bytes": counted[phase.name],
        }
        for phase, actual in zip(simulated.phases, real.phases, strict=True)
    ]  # fmt: skip


def time_a_simulation(name: str, temporal: dict[str, Any], frames: int) -> list[dict[str, Any]]:
    """One row: seconds of wall clock and of processor, and the process's peak of resident memory."""
    torch.set_num_threads(1)
    workload = described(temporal, base=32, multipliers=(1, 2, 4, 8), frames=frames, size=64, batch=1)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    peaks = simulate(workload)
    return [{
        "mixer": name, "frames": frames,
        "seconds": round(time.perf_counter() - begun, 2), "cpu_seconds": round(time.process_time() - cpu_begun, 2),
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "simulated": {phase: peak.model_dump(exclude={"holders"}) for phase, peak in peaks.items()},
    }]  # fmt: skip


def shown(row: dict[str, Any]) -> str:
    """A line of the table."""
    if "frames" in row:
        peaks = {phase: peak["allocated_peak_bytes"] / 2**30 for phase, peak in row["simulated"].items()}
        needs = "  ".join(f"{phase} {peak:8.1f} GiB" for phase, peak in peaks.items())
        return f"{row['mixer']:<26} {row['cpu_seconds']:7.1f} s  {row['rss_bytes'] / 2**30:5.2f} GiB   {needs}"
    storages, allocator = (row["simulated_bytes"] / row[f"{kind}_bytes"] - 1 for kind in ("storages", "allocator"))
    return (
        f"{row['mixer']:<26} {row['phase']:<7} {row['simulated_bytes']:>13,} {row['storages_bytes']:>13,} {storages:+8.3%} "
        f"{row['allocator_bytes']:>13,} {allocator:+8.3%}  {'same storages' if row['same_storages'] else 'OTHER STORAGES'}"
    )


def main() -> None:
    """Each mixer in a process of its own; its rows are printed as they come, and written at the end."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--frames", type=int, help="measure simulations of clips of that length instead")
    arguments.add_argument("--only", help="mixers whose name contains this; the rows of others stay as they are")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name, temporal in choices().items():
        if options.only and options.only not in name:
            continue
        if options.frames is not None and name.endswith((" backward", " both")):
            continue
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            question = (hold_against_the_cpu, name, temporal) if options.frames is None else (
                time_a_simulation, name, temporal, options.frames)  # fmt: skip
            for row in process.submit(*question).result():
                print(shown(row), flush=True)
                rows.append(row)
    path = OUT / f"simulated_memory{'' if options.frames is None else '_frames'}.json"
    before = json.loads(path.read_text())["rows"] if options.only and path.exists() else []
    measured = {row["mixer"] for row in rows}
    lines = ",\n ".join(json.dumps(row) for row in [*(row for row in before if row["mixer"] not in measured), *rows])
    write_atomically(path, f'{{"torch": "{torch.__version__}", "rows": [\n {lines}]}}\n'.encode())


if __name__ == "__main__":
    main()
