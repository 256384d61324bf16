"""Which numbers of a record are measurements: a phase that was not completed has measured nothing."""

from __future__ import annotations

from typing import Literal

from vdmbench.records.schema import PHASES, Phase, PhaseReading, Record, Sampling, Training


def ended_before(record: Record, phase: Phase) -> bool:
    """Whether ``phase`` was not completed, so that its reading is no measurement of it."""
    if record.status == "ok":
        return False
    return record.phase is None or PHASES.index(record.phase) <= PHASES.index(phase)


def reading_of(record: Record, phase: Phase) -> PhaseReading | None:
    """Time and peaks of a phase that was completed."""
    return None if ended_before(record, phase) else record.phases.get(phase)


def training_of(record: Record) -> Training | None:
    """What training did, where it was completed."""
    return None if ended_before(record, "train") else record.training


def sampling_of(record: Record) -> Sampling | None:
    """What sampling did, where it was completed."""
    return None if ended_before(record, "sample") else record.sampling


def allocated_peak(record: Record, phase: Literal["train", "sample"]) -> tuple[int | None, str | None]:
    """The peak of a phase by the allocator's own count, and whose count it is: CUDA's over the phase itself, or the CPU's of
    live tensors in the cell's rehearsal. Neither where the phase was not completed."""
    reading = reading_of(record, phase)
    if reading is None:
        return None, None
    if reading.allocated_peak_bytes is not None:
        return reading.allocated_peak_bytes, "CUDA allocated"
    live = record.rehearsal.live_peak_bytes.get(phase) if record.rehearsal else None
    return (None, None) if live is None else (live, "live tensors on the CPU")


def counts_live_tensors(record: Record) -> bool:
    """Whether the record's version counts live tensors, or its device counted them itself."""
    on_gpu = any(reading.allocated_peak_bytes is not None for reading in record.phases.values())
    return on_gpu or record.rehearsal is not None


def measured_over_planned(record: Record, phase: Literal["train", "sample"]) -> float | None:
    """What CUDA's allocator counted over what was planned; None where either is not known."""
    reading, planned = reading_of(record, phase), record.solved.memory.get(phase) if record.solved else None
    if reading is None or reading.allocated_peak_bytes is None or planned is None:
        return None
    return reading.allocated_peak_bytes / planned.allocated_peak_bytes
