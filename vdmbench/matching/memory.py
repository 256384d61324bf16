"""Peaks of memory for the solver: simulated ones, each structure once and kept between runs; and measured ones."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import TypeAdapter

from vdmbench.matching.simulation import PHASES, refuse_sharded, simulate
from vdmbench.matching.workload import Workload
from vdmbench.records import PlannedMemory, write_atomically
from vdmbench.user_cache import user_cache

Source = Literal["simulated", "measured"]
Peaks = dict[Literal["train", "sample"], PlannedMemory]

_PACKAGE = Path(__file__).parents[1]
_DECIDES_MEMORY = ("diffusion", "engine", "matching", "memory", "mixers", "networks", "ops")
_PEAKS = TypeAdapter(Peaks)
_known: dict[str, Peaks] = {}


class CannotMeasure(ValueError):
    """Memory was to be measured where there is no CUDA device; the message says what to do."""


def simulated(workload: Workload, phases: tuple[str, ...] = PHASES) -> Peaks:
    """:func:`~vdmbench.matching.simulation.simulate`, from memory or from the user's cache where the answer is known."""
    key = hashlib.sha256(f"{_source_digest()} {phases} {workload.key()}".encode()).hexdigest()
    if key not in _known:
        kept = user_cache() / "simulated-memory" / f"{key}.json"
        try:
            answer = _PEAKS.validate_json(kept.read_bytes())
        except (OSError, ValueError):  # not there, or not readable: simulated again, and put right
            answer = simulate(workload, phases)
            _keep(kept, answer)
        _known[key] = answer
    return _known[key]


def _keep(path: Path, answer: Peaks) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _PEAKS.dump_json(answer))
    except OSError as error:
        print(f"simulated peaks are not kept: {error}", file=sys.stderr)


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
