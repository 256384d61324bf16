"""The peak of live tensors on the CPU, by the count that PyTorch's CPU allocator keeps.

The allocator reports every block that it hands out and takes back to PyTorch's profiler, those that kernels take for a moment
inside themselves included; the peak is the largest sum of what was handed out and not taken back. It is exact to the byte, and
the same on every machine that runs the same kernels. What does not come from PyTorch's allocator is not seen: NumPy's arrays,
oneDNN's workspaces. What was alive before the count began is not in it.

Profiling records every op beside the allocations, which takes time and memory: nothing is to be timed, and no resident set
read, while it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch._C._profiler import _ExtraFields_Allocation
from torch.profiler import ProfilerActivity, profile, record_function

_MARK = "vdmbench phase "


class LiveTensors:
    """Counts live bytes from where it is entered.

    with LiveTensors() as live:
        network = ...
        with live.phase("train"):
            ...
    live.peaks["train"]
    """

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        """Largest count within each phase, in bytes; filled at the end."""
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)

    def __enter__(self) -> Self:
        self._profile.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._profile.__exit__(*exception)
        if exception[0] is None:
            self.peaks = _peaks(self._profile.profiler.kineto_results.experimental_event_tree())  # type: ignore[union-attr]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is counted within is that phase's, with all that was counted before and still lives."""
        with record_function(f"{_MARK}{name}"):
            torch.empty(1)  # a phase that allocates nothing holds what lives where it begins
            yield


def _peaks(events: list[Any]) -> dict[str, int]:
    changes, phases = [], []
    for event in _with_all_below(events):
        if isinstance(event.extra_fields, _ExtraFields_Allocation):
            changes.append((event.start_time_ns, event.extra_fields.ptr, event.extra_fields.alloc_size))
        elif event.name.startswith(_MARK):
            phases.append((event.name.removeprefix(_MARK), event.start_time_ns, event.end_time_ns))
    # PyTorch keeps the sizes of blocks from one profile to the next. A block of an earlier profile that was freed outside any
    # leaves its size behind, and a later block at its address, older than this count, would be taken off it with that size.
    alive: dict[int, int] = {}
    held, counts = 0, []
    for at, address, nbytes in sorted(changes, key=lambda change: change[0]):
        held -= alive.pop(address, 0)
        if nbytes > 0:
            alive[address] = nbytes
            held += nbytes
        counts.append((at, held))
    return {name: max(count for at, count in counts if begin <= at <= end) for name, begin, end in phases}


def _with_all_below(events: list[Any]) -> Iterator[Any]:
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        yield event
        waiting.extend(event.children)
