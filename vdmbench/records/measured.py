"""Which numbers of a record are measurements: a phase that was not completed has measured nothing."""

from __future__ import annotations

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


def headline_memory(reading: PhaseReading | None) -> tuple[int | None, str | None]:
    """The peak that a phase is judged by, with its source: the allocator's on CUDA, the resident set without a GPU."""
    if reading is None:
        return None, None
    if reading.allocated_peak_bytes is not None:
        return reading.allocated_peak_bytes, "CUDA allocated"
    if reading.rss_peak_bytes is not None:
        return reading.rss_peak_bytes, f"RSS, {reading.rss_source}" if reading.rss_source else "RSS"
    return None, None
