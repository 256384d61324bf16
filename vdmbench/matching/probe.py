"""The child process of one measured probe: trains and samples a few steps on the real CUDA device, and tells the peak."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Collection
from typing import Any

import torch
from pydantic import TypeAdapter

from vdmbench.matching.simulation import PHASES, run_steps
from vdmbench.matching.workload import Workload
from vdmbench.measure import is_out_of_memory
from vdmbench.memory.storages import StorageTracker
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import Diffusion


class _Peaks(StorageTracker):
    """Measures where a phase begins and ends, and looks at nothing else."""

    def __init__(self) -> None:
        super().__init__("cuda")
        self.peaks: dict[str, dict[str, int]] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Any:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        yield
        self.peaks[name] = {
            "allocated_peak_bytes": torch.cuda.max_memory_allocated(),
            "reserved_peak_bytes": torch.cuda.max_memory_reserved(),
        }


def measure_peaks(workload: Workload, phases: Collection[str] = PHASES) -> dict[str, dict[str, int]]:
    """Allocated and reserved peaks on the CUDA device of each of ``phases`` that was reached; out of memory ends the rest."""
    peaks = _Peaks()
    try:
        run_steps(workload, torch.device("cuda"), peaks, phases)
    except Exception as error:
        if not is_out_of_memory(error):  # else what is missing from the answer did not fit
            raise
    return peaks.peaks


def main() -> None:
    question = json.load(sys.stdin)
    question["diffusion"] = TypeAdapter(Diffusion).validate_python(question["diffusion"])
    phase, train, sample = question.pop("phase"), Train(**question.pop("train")), Sample(**question.pop("sample"))
    with contextlib.redirect_stdout(sys.stderr):  # standard output is the answer's
        peaks = measure_peaks(Workload(**question, train=train, sample=sample), (phase,))
    json.dump({"peak_bytes": peaks.get(phase, {}).get("allocated_peak_bytes")}, sys.stdout)


if __name__ == "__main__":
    main()
