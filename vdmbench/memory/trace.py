"""What a run asks of a device's allocator, in order: every storage's birth and death."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

EMPTY_CACHE = 0
"""The number that stands for no storage: an event with it gives cached memory back to the device."""


class Event(NamedTuple):
    """A storage is born (``nbytes`` > 0) or dies (``nbytes`` < 0), in bytes as asked for, not rounded."""

    storage: int
    nbytes: int


@dataclass(frozen=True)
class Phase:
    """A stretch of a trace: events ``begin`` to ``end``, the latter excluded."""

    name: str
    begin: int
    end: int


@dataclass
class MemoryTrace:
    """Events, who each storage belongs to, and which stretch of the events is which phase.

    Storages are numbered from 1, in the order of birth; a number is used once.
    """

    events: list[Event] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    """Storage to who holds it, such as ``parameters`` or ``activations: down.0.spatial``."""
    phases: list[Phase] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    """Optional packages whose kernels ran."""

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def empty_cache(self) -> None:
        """``torch.cuda.empty_cache()`` happens here."""
        self.events.append(Event(EMPTY_CACHE, 0))

    def requested_peak(self, phase: Phase | None = None) -> int:
        """Most bytes alive at once in ``phase``, or ever, without any allocator's rounding."""
        begin, end = (phase.begin, phase.end) if phase else (0, len(self.events))
        alive = sum(event.nbytes for event in self.events[:begin])
        peak = alive
        for event in self.events[begin:end]:
            alive += event.nbytes
            peak = max(peak, alive)
        return peak


def from_snapshot(snapshot: dict[str, Any], device: int = 0) -> MemoryTrace:
    """The allocations that PyTorch recorded on one device, from ``torch.cuda.memory._snapshot()``.

    Recording must have begun (``torch.cuda.memory._record_memory_history()``) before the first allocation, and with
    room for every entry; a free of what was never seen is a ValueError. Where the allocator gave segments back, the trace
    empties the cache.
    """
    trace = MemoryTrace()
    alive: dict[int, Event] = {}  # by address
    before = ""
    for entry in snapshot["device_traces"][device]:
        action, address = entry["action"], entry.get("addr")
        if action == "segment_free" and before != "segment_free":
            trace.empty_cache()
        before = action
        if action == "alloc":
            alive[address] = Event(len(trace.owners) + 1, entry["size"])
            trace.owners[len(trace.owners) + 1] = "recorded"
            trace.events.append(alive[address])
        elif action == "free_completed":
            if address not in alive:
                raise ValueError(
                    f"the snapshot frees {entry['size']} bytes at {address:#x} that it never saw allocated: begin recording "
                    "before the first allocation, with a larger max_entries"
                )
            born = alive.pop(address)
            trace.events.append(Event(born.storage, -born.nbytes))
    return trace


def reserved_in_snapshot(snapshot: dict[str, Any], device: int = 0) -> int:
    """Most bytes that the recorded allocator held of the device at once: the sum of its segments."""
    held = peak = 0
    for entry in snapshot["device_traces"][device]:
        if entry["action"] == "segment_alloc":
            held += entry["size"]
        elif entry["action"] == "segment_free":
            held -= entry["size"]
        peak = max(peak, held)
    return peak
