"""Device memory of every GPU that a cell has, by NVML, over its phases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Self

from vdmbench.measure.nvml import Gpu, NvmlReading, NvmlSampler
from vdmbench.records import DeviceMemory, Event


class DeviceWatch:
    """A sampler a GPU; of a cell without one, a reading that says so.

    What is told of several is the largest of any, as with the peaks of ranks: a card that one rank does not fit is too small.
    """

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._samplers = [NvmlSampler(gpu.uuid) for gpu in gpus] or [NvmlSampler(None)]
        self._entered = ExitStack()
        self.phase_peaks: dict[str, int] = {}

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for sampler in self._samplers:
                entered.enter_context(sampler)
            self._entered = entered.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.close()

    def watch(self, pid: int) -> None:
        """Count this process, and whatever shares its process group, as the cell's own."""
        for sampler in self._samplers:
            sampler.watch(pid)

    def follow(self, event: Event) -> None:
        """Cut the readings where the worker says that a phase begins or ends."""
        if event["type"] not in ("phase_started", "phase_ended"):
            return
        laps = [sampler.lap().peak_used_bytes for sampler in self._samplers]
        peaks = [peak for peak in laps if peak is not None]
        if event["type"] == "phase_ended" and peaks:
            self.phase_peaks[event["phase"]] = max(peaks)

    def stop(self) -> DeviceMemory:
        """The whole run's: of the device with the largest peak, and beside it each of several."""
        readings = [sampler.stop() for sampler in self._samplers]
        each = [_recorded(reading) for reading in readings]
        largest = max(each, key=lambda memory: -1 if memory.peak_used_bytes is None else memory.peak_used_bytes)
        return largest if len(each) == 1 else largest.model_copy(update={"devices": each})


def _recorded(reading: NvmlReading) -> DeviceMemory:
    return DeviceMemory(**asdict(reading))
