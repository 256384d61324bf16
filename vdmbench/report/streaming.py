"""Clips made chunk by chunk: what a frame takes, and what memory does while frames are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vdmbench.records import Record, Rollout
from vdmbench.report.quantities import choose_scale, find_quantity
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import Column, Entry, Table, identifying, shown_value, where

MEMORY = find_quantity("peak_sample_memory", ())
EARLY = 100
"""Frames after which memory is read the first time: past what the first ones load and tune."""


@dataclass(frozen=True)
class Streamed:
    """Means over seeds, at the same frame counts."""

    at: np.ndarray
    seconds: np.ndarray
    """A frame, since the count before."""
    memory: np.ndarray
    """Bytes live in the CUDA allocator; without a device resident ones beyond those of the libraries."""
    source: str
    state: np.ndarray
    """Bytes of what mixers carry, all clips of a batch."""

    def early(self) -> int:
        """Index of the first count from :data:`EARLY` on; the last one of a shorter clip."""
        return min(int(np.searchsorted(self.at, EARLY)), len(self.at) - 1)


def streamed(study: Study, group: Group, label: str) -> Streamed | None:
    """None where the variant made no clip chunk by chunk."""
    found = [(cell.record, cell.record.rollout) for cell in study.cells_in(group, label) if cell.record.rollout is not None]
    if not found:
        return None
    longest = max((rollout for _, rollout in found), key=lambda rollout: rollout.at[-1])
    alike = [(record, rollout) for record, rollout in found if rollout.at == longest.at]
    memory = np.mean([_memory(record, rollout) for record, rollout in alike], axis=0)
    return Streamed(
        np.array(longest.at, dtype=float),
        np.mean([rollout.seconds for _, rollout in alike], axis=0),
        memory,
        "CUDA allocated" if longest.allocated_bytes is not None else "RSS beyond the libraries",
        np.mean([rollout.state_bytes for _, rollout in alike], axis=0),
    )


def _memory(record: Record, rollout: Rollout) -> np.ndarray:
    if rollout.allocated_bytes is not None:
        return np.array(rollout.allocated_bytes, dtype=float)
    return np.array(rollout.rss_bytes, dtype=float) - (record.baseline_rss_bytes or 0)


def streaming_table(study: Study) -> Table:
    """A row a variant and sweep point that made clips chunk by chunk."""
    rows: list[list[Entry]] = []
    all_streamed = {
        (group, label): found
        for group in study.groups
        for label in study.labels
        if (found := streamed(study, group, label)) is not None
    }
    ended = list(all_streamed.values())
    time = choose_scale(find_quantity("step_time", ()), [float(found.seconds[-1]) for found in ended])
    memory = choose_scale(MEMORY, [float(found.memory[-1]) for found in ended])
    state = choose_scale(MEMORY, [float(found.state[-1]) for found in ended])
    columns = [
        *identifying(study), Column("variant", "Variant"), Column("made", "Frames", True),
        Column("early", f"Frame {EARLY} ({time.unit})", True), Column("late", f"Last frame ({time.unit})", True),
        Column("memory_early", f"Memory at {EARLY} ({memory.unit})", True),
        Column("memory_late", f"Memory at the end ({memory.unit})", True),
        Column("state", f"State at the end ({state.unit})", True),
    ]  # fmt: skip
    for (group, label), found in all_streamed.items():
        early = found.early()
        values = [
            (time, found.seconds[early]), (time, found.seconds[-1]),
            (memory, found.memory[early]), (memory, found.memory[-1]), (state, found.state[-1]),
        ]  # fmt: skip
        rows.append([
            *where(study, group),
            Entry(label), Entry(str(int(found.at[-1])), float(found.at[-1])),
            *(Entry(shown_value(scale(float(value))), scale(float(value))) for scale, value in values),
        ])  # fmt: skip
    sources = sorted({found.source for found in ended})
    notes = [f"Of one batch of clips, mean over seeds. Memory: {' / '.join(sources)}."] if rows else []
    return Table("streaming", "Chunk by chunk: seconds a frame, and memory while frames are made", columns, rows, notes)
