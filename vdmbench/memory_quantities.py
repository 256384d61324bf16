"""The quantities of memory: planned for a card, counted by an allocator, and resident in the process."""

from __future__ import annotations

from typing import Literal

from vdmbench.quantity import Quantity
from vdmbench.records import (
    PhaseReading,
    Record,
    allocated_peak,
    counts_live_tensors,
    measured_over_planned,
    reading_of,
)


def _planned(phase: Literal["train", "sample"], label: str, counter: str, how: str, *, main: bool = False) -> Quantity:
    """A simulated peak. It follows from the declaration and from what it was planned for, which is its source."""

    def value(record: Record) -> float | None:
        peaks = record.solved.memory.get(phase) if record.solved else None
        return getattr(peaks, f"{counter}_peak_bytes") if peaks else None

    name = f"planned_{phase}_memory" if counter == "allocated" else f"planned_{phase}_reserved"
    return Quantity(
        name, label, "bytes", "lower", "exact",
        f"{how}, simulated step by step; it follows from the declaration, the card, PyTorch's version and "
        "the packages planned for.",
        value, f"{name}_source", _planned_for, absent=lambda record: record.solved.not_simulated if record.solved else None,
        main=main, limit="memory", kept=lambda record: _planned_for(record) is not None,
    )  # fmt: skip


def _planned_for(record: Record) -> str | None:
    found = record.solved.planned_for if record.solved else None
    return None if found is None else str(found)


def _against_plan(phase: Literal["train", "sample"], label: str) -> Quantity:
    return Quantity(
        f"{phase}_memory_ratio", label, "", "neither", "machine",
        "Peak that CUDA's allocator counted over the planned one; null without a GPU.",
        lambda record: measured_over_planned(record, phase), gated=False,
    )  # fmt: skip


def _resident(phase: Literal["train", "sample"], label: str, limit: str) -> Quantity:
    def reading(record: Record) -> PhaseReading | None:
        found = reading_of(record, phase)
        on_gpu = found is not None and found.allocated_peak_bytes is not None  # where it says nothing of the cell
        return None if on_gpu else found

    return Quantity(
        f"resident_{phase}_memory", label, "bytes", "lower", "machine",
        "Peak of the worker process's resident set where there is no GPU, interpreter and libraries included.",
        lambda record: found.rss_peak_bytes if (found := reading(record)) else None,
        f"resident_{phase}_memory_source", lambda record: found.rss_source if (found := reading(record)) else None,
        limit=limit,
    )  # fmt: skip


PLANNED: tuple[Quantity, ...] = (
    _planned("train", "Planned training memory", "allocated", "Peak that training allocates on the card that is planned for",
             main=True),
    _planned("sample", "Planned sampling memory", "allocated", "The same of sampling", main=True),
    _planned("train", "Planned training memory, reserved", "reserved",
             "Peak that training's allocator reserves of that card, free blocks that it keeps included"),
    _planned("sample", "Planned sampling memory, reserved", "reserved", "The same of sampling"),
)  # fmt: skip
"""Peaks on a declared card, which are the same on every machine."""

MEMORY: tuple[Quantity, ...] = (
    *PLANNED,
    Quantity(
        "peak_train_memory", "Peak training memory", "bytes", "lower", "machine",
        "Peak of training by the allocator's own count: CUDA's over the training phase alone, reset after warm-up; without a "
        "GPU that of live tensors on the CPU, over steps of a rehearsal that nothing is timed in.",
        lambda record: allocated_peak(record, "train")[0],
        "peak_train_memory_source", lambda record: allocated_peak(record, "train")[1],
        main=True, limit="memory", kept=counts_live_tensors,
    ),
    Quantity(
        "peak_sample_memory", "Peak sampling memory", "bytes", "lower", "machine", "The same counter over sampling.",
        lambda record: allocated_peak(record, "sample")[0],
        "peak_sample_memory_source", lambda record: allocated_peak(record, "sample")[1],
        main=True, limit="memory", kept=counts_live_tensors,
    ),
    _against_plan("train", "Training memory, measured / planned"),
    _against_plan("sample", "Sampling memory, measured / planned"),
    _resident("train", "Resident memory in training", "memory"),
    _resident("sample", "Resident memory in sampling", "resident_sampling"),
)  # fmt: skip
"""In the order of tables."""
