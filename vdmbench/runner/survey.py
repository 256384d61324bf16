"""What has become of a suite's cells, read from its results folder alone: no lock, no process, nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from statistics import mean
from typing import TYPE_CHECKING, Literal

from vdmbench.records import (
    UNFINISHED,
    CellHistory,
    DamagedEvents,
    Progress,
    Record,
    ResultsFolder,
    progress_of,
    read_events,
    unsigned_note,
)
from vdmbench.records.experiments import Declaration, difference
from vdmbench.runner.schedule import seconds_taken
from vdmbench.runner.settled import FAILED

if TYPE_CHECKING:
    from vdmbench.suite import Cell, Suite

State = Literal["done", "failed", "running", "left"]


@dataclass(frozen=True)
class CellState:
    """One cell."""

    identity: str
    label: str
    state: State
    record: Record | None = None
    """The one that counts; None where nothing was tried."""
    progress: Progress | None = None
    """Of a running cell."""
    for_tuning: bool = False
    """Whether it only serves a choice of the suite's 'tune'."""

    def seconds_left(self, typical: float | None, now: float) -> float | None:
        """Of a running cell: what cells have typically taken less what it has, and never less than its phase still takes."""
        if self.progress is None or self.record is None:
            return None
        phase = self.progress.phase_seconds_left
        if typical is None:
            return phase
        whole = typical - (now - datetime.fromisoformat(self.record.attempt.started).timestamp())
        return max(whole, phase or 0.0, 0.0)


@dataclass(frozen=True)
class Survey:
    """All cells of a results folder."""

    suite: str
    cells: list[CellState]
    note: str | None = None
    """Why cells may be missing from the list."""
    damaged: list[str] = field(default_factory=list)
    """What of the folder could not be read and counts for nothing, a line each; and how many records are unsigned."""
    others: dict[str, list[str]] = field(default_factory=dict)
    """Labels of the cells here that the suite does not declare now, by what they declare otherwise (``train.steps: 400 / 800``,
    theirs first); they are counted nowhere."""

    def count(self, state: State) -> int:
        return sum(cell.state == state for cell in self.cells)

    @property
    def blocked(self) -> list[CellState]:
        """Cells that are left because of what others have come to; their records say how."""
        return [cell for cell in self.cells if cell.record is not None and cell.record.status == "skipped"]

    def running(self) -> list[CellState]:
        return [cell for cell in self.cells if cell.state == "running"]

    @cached_property
    def typical_seconds(self) -> float | None:
        """Mean time of the attempts that ended ok here; None before the first."""
        taken = [seconds_taken(cell.record) for cell in self.cells if cell.record is not None and cell.record.status == "ok"]
        known = [seconds for seconds in taken if seconds is not None]
        return mean(known) if known else None

    def seconds_left(self, now: float) -> float | None:
        """Until all cells have ended, with as many at a time as run now (at least one); None where no rate was seen yet."""
        typical, running = self.typical_seconds, self.running()
        remaining = [cell.seconds_left(typical, now) for cell in running]
        if (self.count("left") and typical is None) or any(seconds is None for seconds in remaining):
            return None
        waiting = self.count("left") * (typical or 0.0)
        return (sum(seconds for seconds in remaining if seconds is not None) + waiting) / max(1, len(running))


def survey(results: ResultsFolder) -> Survey:
    """Read ``results``: the cells that the suite declares which was run there last, in its order. Without one that can be read,
    the cells that were begun.

    :raises ResultsError: there are no results.
    """
    from vdmbench.suite import expand, parse_suite

    histories = {history.identity: history for history in results.histories()}
    begun = {identity: history.latest.label for identity, history in histories.items()}
    kept = results.suite()
    name = next((history.latest.suite for history in histories.values()), results.path.name)
    note, others, tuning = None, dict[str, list[str]](), set[str]()
    if kept is None:
        labels, note = begun, "no suite.json is kept here: cells that were never begun are not listed"
    else:
        try:
            suite, lines = parse_suite(kept, str(results.path / "suite.json"))
            cells = expand(suite, lines)
        except ValueError as error:  # a user's Python file that is not here, or another version of vdmbench
            labels, note = begun, f"cells that were never begun are not listed: {error}"
        else:
            counted = _counted(cells, histories)
            name, labels = suite.name, {cell.identity: cell.label for cell in counted}
            tuning = {cell.identity for cell in counted if cell.for_tuning}
            for identity in begun.keys() - labels.keys():
                record = histories[identity].latest
                if record.for_tuning:
                    continue
                others.setdefault(_otherwise(record, suite, cells), []).append(record.label)
    damaged = list(results.unusable.values())
    states = [
        replace(_state(results, identity, label, histories.get(identity), damaged), for_tuning=identity in tuning)
        for identity, label in labels.items()
    ]
    damaged += unsigned_note([history.latest for history in histories.values()])
    return Survey(name, states, note, damaged, {unlike: sorted(others[unlike]) for unlike in sorted(others)})


def _counted(cells: Sequence[Cell], histories: Mapping[str, CellHistory]) -> list[Cell]:
    """``cells`` and what they wait for: of those that have ended, only what was begun."""
    from vdmbench.suite import with_dependencies

    ended = {identity for identity, history in histories.items() if history.latest.status not in UNFINISHED}
    still_needed = {cell.identity for cell in with_dependencies([cell for cell in cells if cell.identity not in ended], cells)}
    return [
        cell
        for cell in with_dependencies(cells)
        if not cell.for_tuning or cell.identity in histories or cell.identity in still_needed
    ]


def _otherwise(record: Record, suite: Suite, cells: Sequence[Cell]) -> str:
    """What ``record`` declares otherwise than the cell that is nearest to it by variant, point and seed."""
    nearest = max(
        cells, key=lambda cell: (cell.variant == record.variant, cell.point == record.point, cell.seed == record.seed)
    )
    own = frozenset(suite.variants[nearest.variant].set)
    return (
        difference(
            Declaration(record.variant, record.point, record.declared, own),
            Declaration(nearest.variant, nearest.point, nearest.inputs.model_dump(mode="json"), own),
        )
        or "another variant, point or seed"
    )


def _state(results: ResultsFolder, identity: str, label: str, history: CellHistory | None, damaged: list[str]) -> CellState:
    if history is None:
        return CellState(identity, label, "left")
    record = history.latest
    if record.status == "started":
        try:
            progress = progress_of(read_events(results.folder_of(record).events))
        except (DamagedEvents, OSError) as error:
            progress = None
            damaged.append(str(error))
        return CellState(identity, label, "running", record, progress)
    state: State = "failed" if record.status in FAILED else "left" if record.status in UNFINISHED else "done"
    return CellState(identity, label, state, record)
