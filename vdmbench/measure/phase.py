"""One reading for each phase of a run: time, process memory, allocator memory, all reset where the phase begins."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypedDict

from vdmbench.measure.allocator import AllocatorPeaks
from vdmbench.measure.neighbours import Neighbours
from vdmbench.measure.process_memory import RssPeak, trim_heap
from vdmbench.measure.timing import synchronise


class PhaseReading(TypedDict, total=False):
    """Filled when the phase ends, also by an exception; empty until then. None where a thing is unknown."""

    seconds: float
    rss_peak_bytes: int | None
    rss_source: str
    allocated_peak_bytes: int | None
    reserved_peak_bytes: int | None
    alloc_retries: int | None
    ooms: int | None
    others_busy_cores: float | None


class PhaseMeter:
    """Measures phases that follow one another.

        meter = PhaseMeter("cuda")
        with meter.phase("train") as reading:
            ...
        reading["seconds"], reading["allocated_peak_bytes"]

    Entering a phase collects garbage, gives freed memory back to the system and the device, and resets every peak, so that
    warm-up is never part of train. What stays alive (weights, optimiser state) counts, as it should. Work that belongs to no
    phase can interrupt one (:meth:`interrupted`).
    """

    def __init__(self, device: str = "cpu", *, rss_interval: float = 0.01) -> None:
        self._device, self._rss_interval = device, rss_interval
        self._allocator = AllocatorPeaks(device)
        self._running: str | None = None
        self._stretches: list[PhaseReading] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[PhaseReading]:
        """Measure the body; phases do not nest, because the peaks are reset (RuntimeError)."""
        if self._running is not None:
            raise RuntimeError(f"phase '{name}' begins inside phase '{self._running}'; end that one first")
        self._running = name
        reading: PhaseReading = {}
        self._stretches = []
        gc.collect()
        neighbours = Neighbours()
        self._begin_stretch()
        try:
            yield reading
            synchronise(self._device)
        finally:
            # After an error the device is not waited for: it may be in no state to answer.
            self._end_stretch()
            reading.update(_joined(self._stretches))
            reading["others_busy_cores"] = neighbours.busy_cores()
            self._running = None

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """The body is part of no phase: its seconds, its peaks and what the allocator cached for it are left out of the phase
        that it interrupts. Outside a phase nothing is measured, and the body just runs."""
        if self._running is None:
            yield
            return
        synchronise(self._device)
        self._end_stretch()
        try:
            yield
        finally:
            self._begin_stretch()

    def _begin_stretch(self) -> None:
        trim_heap()
        self._allocator.reset()
        self._rss = RssPeak(interval=self._rss_interval)
        self._rss.start()
        self._begin = time.perf_counter()

    def _end_stretch(self) -> None:
        seconds = time.perf_counter() - self._begin
        memory = self._rss.stop()
        stretch: PhaseReading = {
            "seconds": seconds,
            "rss_peak_bytes": memory.peak_bytes,
            "rss_source": memory.source,
        }
        stretch.update(asdict(self._allocator.read()))  # type: ignore[typeddict-item]
        self._stretches.append(stretch)


def _joined(stretches: list[PhaseReading]) -> PhaseReading:
    """One reading of what a phase did before and after its interruptions: sums of times and counts, the largest of peaks."""

    def known(values: Iterable[int | None]) -> list[int]:
        return [value for value in values if value is not None]

    return {
        "seconds": sum(stretch["seconds"] for stretch in stretches),
        "rss_peak_bytes": max(known(stretch["rss_peak_bytes"] for stretch in stretches), default=None),
        "rss_source": stretches[-1]["rss_source"],
        "allocated_peak_bytes": max(known(stretch["allocated_peak_bytes"] for stretch in stretches), default=None),
        "reserved_peak_bytes": max(known(stretch["reserved_peak_bytes"] for stretch in stretches), default=None),
        "alloc_retries": _total(known(stretch["alloc_retries"] for stretch in stretches)),
        "ooms": _total(known(stretch["ooms"] for stretch in stretches)),
    }


def _total(counts: list[int]) -> int | None:
    return sum(counts) if counts else None
