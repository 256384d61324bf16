"""Whether a cell that was matched by memory took, when it ran, what its plan said."""

from __future__ import annotations

from typing import Any

from vdmbench.records import Record

PLAN_ERROR = 0.02
"""A share by which a measured peak may differ from the planned one before that is said."""


def off_plan(record: Record) -> float | None:
    """By how much the measured peak of the matched phase misses the plan, as a share; None within the match's tolerance, or
    where memory was not matched or not measured by the allocator."""
    solved = record.solved
    if solved is None or solved.quantity is None or not solved.quantity.startswith("memory."):
        return None
    phase: Any = solved.quantity.partition(".")[2]
    reading = record.phases.get(phase)
    if reading is None or reading.allocated_peak_bytes is None or not solved.achieved:
        return None
    miss = reading.allocated_peak_bytes / solved.achieved - 1
    return miss if abs(miss) > (solved.tolerance or 0.0) else None
