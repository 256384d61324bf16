"""Peaks of memory for the solver: simulated ones, each structure once and kept between runs; and measured ones."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter

from vdmbench.file_digests import digest_of
from vdmbench.matching.simulation import PHASES, planned_memory, refuse_sharded, traced
from vdmbench.matching.workload import Workload
from vdmbench.memory.allocator import replay
from vdmbench.memory.trace import MemoryTrace
from vdmbench.records import PlannedMemory, write_atomically
from vdmbench.user_cache import user_cache

Source = Literal["simulated", "measured"]
Peaks = dict[Literal["train", "sample"], PlannedMemory]

_PACKAGE = Path(__file__).parents[1]
_DECIDES_MEMORY = ("diffusion", "engine", "matching", "memory", "mixers", "networks", "ops")


class CannotMeasure(ValueError):
    """Memory was to be measured where there is no CUDA device; the message says what to do."""


def simulated(workload: Workload, phases: tuple[str, ...] = PHASES) -> Peaks:
    """:func:`~vdmbench.matching.simulation.simulate`, from memory or from the user's cache where the answer is known."""
    peaks: Peaks = _PLANNED.answer(workload, phases)
    return peaks


def simulated_peaks(workload: Workload, phases: tuple[str, ...] = PHASES) -> dict[str, int]:
    """The allocated peaks of :func:`simulated` alone, which is all that a search for a knob asks."""
    peaks: dict[str, int] = _PROBED.answer(workload, phases)
    return peaks


@dataclass(frozen=True)
class _Answers:
    """What follows from a trace, each once, kept in a folder of the user's cache."""

    folder: str
    form: Any
    """A pydantic ``TypeAdapter`` of an answer."""
    of_trace: Callable[[Workload, MemoryTrace], Any]
    known: dict[str, Any] = field(default_factory=dict)

    def answer(self, workload: Workload, phases: tuple[str, ...]) -> Any:
        key = hashlib.sha256(f"{_source_digest()} {phases} {workload.key()}".encode()).hexdigest()
        if key not in self.known:
            path = user_cache() / self.folder / f"{key}.json"
            answer = self._read(path, key)
            if answer is None:
                answer = self.of_trace(workload, _traced(key, workload, phases))
                self._keep(path, key, answer)
            self.known[key] = answer
        return self.known[key]

    def _read(self, path: Path, key: str) -> Any:
        """None where nothing is kept, or it is not what was kept under that key: it is simulated again then, and put right."""
        try:
            kept = json.loads(path.read_bytes())
            if kept["digest"] != digest_of([key, kept["answer"]]):
                return None
            return self.form.validate_python(kept["answer"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, path: Path, key: str, answer: Any) -> None:
        plain = self.form.dump_python(answer, mode="json")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps({"digest": digest_of([key, plain]), "answer": plain}).encode())
        except OSError as error:
            print(f"simulated peaks are not kept: {error}", file=sys.stderr)


def _allocated(_: Workload, trace: MemoryTrace) -> dict[str, int]:
    return {name: replayed.allocated_peak for name, replayed in replay(trace).items()}


_PLANNED = _Answers("simulated-memory", TypeAdapter(Peaks), planned_memory)
_PROBED = _Answers("simulated-peaks", TypeAdapter(dict[str, int]), _allocated)
_traces: dict[str, MemoryTrace] = {}
_TRACES = 8
"""Of the last settings that were tried: one of them is mostly the answer, of which more is asked."""


def _traced(key: str, workload: Workload, phases: tuple[str, ...]) -> MemoryTrace:
    if key not in _traces:
        while len(_traces) >= _TRACES:
            del _traces[next(iter(_traces))]
        _traces[key] = traced(workload, phases)
    return _traces[key]


@cache
def _source_digest() -> str:
    """Of PyTorch's version and of our own source that decides what is allocated: an edit there forgets every answer."""
    digest = hashlib.sha256(torch.__version__.encode())
    for room in _DECIDES_MEMORY:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def require_device() -> None:
    """Raise :class:`CannotMeasure` where there is nothing to measure on."""
    if not torch.cuda.is_available():
        raise CannotMeasure(
            "match.source is 'measured' and PyTorch sees no CUDA device here ('vdmbench doctor' says why): "
            "use 'source: simulated'"
        )


def measured(workload: Workload, phase: str) -> int | None:
    """Peak of allocated bytes on this machine's CUDA device, in a fresh process; None where it ran out of memory.

    :raises CannotMeasure: there is no such device.
    :raises RuntimeError: the process failed in another way; the message holds the end of what it said.
    """
    refuse_sharded(workload)
    require_device()
    question = json.dumps({
        "network": workload.network, "mixer": workload.mixer, "frames": workload.frames, "size": workload.size,
        "train": workload.train.model_dump(), "sample": workload.sample.model_dump(),
        "diffusion": workload.diffusion.model_dump(), "phase": phase,
        "latents": workload.latents,
    })  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "vdmbench.matching.probe"], input=question, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"a memory probe exited with {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    peak: int | None = json.loads(done.stdout)["peak_bytes"]
    return peak
