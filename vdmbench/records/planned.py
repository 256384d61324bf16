"""Memory beside what a cell's own phases read: planned for a card, and counted in a rehearsal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vdmbench.records.recorded import Recorded


class PlannedMemory(Recorded):
    """The peak of CUDA memory in one phase, simulated: no GPU was asked."""

    allocated_peak_bytes: int
    """In live blocks of the caching allocator."""
    reserved_peak_bytes: int
    """In its segments, where the device has room for all it would like."""
    least_capacity_bytes: int
    """The smallest memory in which it runs, to 1 %: the allocator gives back what it keeps. Without context and libraries."""
    holders: dict[str, int] = Field(default_factory=dict)
    """Who holds the bytes at the moment of the allocated peak; they sum to it."""
    packages: list[str] = Field(default_factory=list)
    """Optional packages whose kernels it counts, in order of name: on a machine without one of them it is another number."""


class PlannedFor(Recorded):
    """What simulated peaks depend on beside the declaration: where all of it is equal, so are they, on every machine."""

    device: str
    """The card, by its name in :mod:`vdmbench.cards`."""
    torch: str
    """PyTorch's version, without its build (``+cpu``)."""
    packages: list[str]
    """Optional packages that are taken to be there, in order of name, whether a cell's kernels come from them or not."""

    def __str__(self) -> str:
        return f"{self.device}, PyTorch {self.torch}, {' '.join(self.packages) or 'no optional package'}"


class Probe(Recorded):
    """One setting of a knob that the solver tried, and the memory found there."""

    knob: str
    setting: int | float
    source: Literal["simulated", "measured"]
    peak_bytes: int | None = None
    """Null where it ran out of memory."""


class Rehearsal(Recorded):
    """What a process that is not measured did first: the cell's own steps on clips of zeros, so that every kernel is compiled
    before anything is measured."""

    seconds: float
    live_peak_bytes: dict[Literal["train", "sample"], int] = Field(default_factory=dict)
    """The most that live tensors held in a phase, by the count of PyTorch's CPU allocator; empty on a GPU, whose own allocator
    counts the steps themselves."""
    failed: str | None = None
    """Why it came to no end; null where it did."""
