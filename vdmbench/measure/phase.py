"""One reading for each phase of a run: time, process memory, allocator memory, all reset where the phase begins."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
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
    warm-up is never part of train. What stays alive (weights, optimiser state) counts, as it should.
    """

    def __init__(self, device: str = "cpu", *, rss_interval: float = 0.01) -> None:
        self._device, self._rss_interval = device, rss_interval
        self._allocator = AllocatorPeaks(device)
        self._running: str | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[PhaseReading]:
        """Measure the body; phases do not nest, because the peaks are reset (RuntimeError)."""
        if self._running is not None:
            raise RuntimeError(f"phase '{name}' begins inside phase '{self._running}'; end that one first")
        self._running = name
        reading: PhaseReading = {}
        rss = RssPeak(interval=self._rss_interval)
        gc.collect()
        trim_heap()
        self._allocator.reset()
        rss.start()
        neighbours = Neighbours()
        begin = time.perf_counter()
        try:
            yield reading
            synchronise(self._device)
        finally:
            # After an error the device is not waited for: it may be in no state to answer.
            reading["seconds"] = time.perf_counter() - begin
            reading["others_busy_cores"] = neighbours.busy_cores()
            memory = rss.stop()
            reading["rss_peak_bytes"], reading["rss_source"] = memory.peak_bytes, memory.source
            reading.update(asdict(self._allocator.read()))  # type: ignore[typeddict-item]
            self._running = None
