"""What has become of a suite's cells, read from its results folder alone: no lock, no process, nothing written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from vdmbench.records import (
    UNFINISHED,
    DamagedEvents,
    Progress,
    Record,
    ResultsFolder,
    progress_of,
    read_events,
    unsigned_note,
)
from vdmbench.records.experiments import Declaration, difference
from vdmbench.records.remembered import BRIEF, Remembered
from vdmbench.runner.plan_cache import code_digest
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
    """The one that counts, in brief: who and where, and what became of it; None where nothing was tried."""
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
    remembered = Remembered(results.path)
    known = remembered.declared(_read_by(kept)) if (kept := results.suite()) is not None else None
    results = ResultsFolder(results.path, remembered)
    if known is not None and (found := _survey_of_known(results, *known)) is not None:
        remembered.save()
        return found
    found = _survey(results, remembered)
    remembered.save()
    return found


def _survey_of_known(results: ResultsFolder, name: str, labels: dict[str, str]) -> Survey | None:
    """Of a suite that was expanded before; None where cells here are none of its own, which have to be compared with it."""
    latest = {history.identity: _in_brief(history.latest) for history in results.histories()}
    return None if latest.keys() - labels.keys() else _told(results, name, labels, latest, set(), None, {})


def _read_by(suite: str) -> str:
    """What decides which cells a kept suite declares: its text, and the code that reads it."""
    return hashlib.sha256(f"{code_digest()} {suite}".encode()).hexdigest()


def _survey(results: ResultsFolder, remembered: Remembered) -> Survey:
    from vdmbench.suite import expand, parse_suite, with_dependencies

    kept, note, suite = results.suite(), None, None
    cells: list[Cell] = []
    if kept is None:
        note = "no suite.json is kept here: cells that were never begun are not listed"
    else:
        try:
            suite, lines = parse_suite(kept, str(results.path / "suite.json"))
            cells = expand(suite, lines)
        except ValueError as error:  # a user's Python file that is not here, or another version of vdmbench
            note, suite = f"cells that were never begun are not listed: {error}", None
    declared = {cell.identity for cell in with_dependencies(cells)}
    if suite is not None and kept is not None and len(declared) == len(cells) and ".py" not in kept:  # a file may change
        remembered.keep_declared(_read_by(kept), suite.name, {cell.identity: cell.label for cell in cells})
    others, nearest = dict[str, list[str]](), _Nearest(cells)
    latest: dict[str, Record] = {}
    for history in results.histories():
        record = history.latest
        if suite is not None and record.identity not in declared and not record.for_tuning:
            whole = ResultsFolder(results.path).history(record.identity) if not record.declared else None
            others.setdefault(_otherwise(whole.latest if whole else record, suite, nearest), []).append(record.label)
        latest[history.identity] = _in_brief(record)
    tuning = set[str]()
    if suite is None:
        name = next((record.suite for record in latest.values()), results.path.name)
        labels = {identity: record.label for identity, record in latest.items()}
    else:
        counted = _counted(cells, latest)
        name, labels = suite.name, {cell.identity: cell.label for cell in counted}
        tuning = {cell.identity for cell in counted if cell.for_tuning}
    return _told(results, name, labels, latest, tuning, note, {unlike: sorted(others[unlike]) for unlike in sorted(others)})


def _told(
    results: ResultsFolder,
    name: str,
    labels: Mapping[str, str],
    latest: Mapping[str, Record],
    tuning: set[str],
    note: str | None,
    others: dict[str, list[str]],
) -> Survey:
    damaged = list(results.unusable.values())
    states = [
        replace(_state(results, identity, label, latest.get(identity), damaged), for_tuning=identity in tuning)
        for identity, label in labels.items()
    ]
    damaged += unsigned_note(list(latest.values()))
    return Survey(name, states, note, damaged, others)


def _in_brief(record: Record) -> Record:
    return record.model_copy(update=_nothing_else())


@cache
def _nothing_else() -> dict[str, Any]:
    """Of every field that a survey does not tell, what stands for nothing; the same objects for all records."""
    fields = {name: field for name, field in Record.model_fields.items() if name not in BRIEF}
    return {name: field.get_default(call_default_factory=True) for name, field in fields.items()} | {"declared": {}}


def _counted(cells: Sequence[Cell], latest: Mapping[str, Record]) -> list[Cell]:
    """``cells`` and what they wait for: of those that have ended, only what was begun."""
    from vdmbench.suite import with_dependencies

    ended = {identity for identity, record in latest.items() if record.status not in UNFINISHED}
    still_needed = {cell.identity for cell in with_dependencies([cell for cell in cells if cell.identity not in ended], cells)}
    return [
        cell
        for cell in with_dependencies(cells)
        if not cell.for_tuning or cell.identity in latest or cell.identity in still_needed
    ]


class _Nearest:
    """Finds, among ``cells``, the one that agrees with a record in variant, else in point, else in seed; the first of several.

    It looks them up: a suite of ten thousand cells that has changed is asked ten thousand times.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._first = cells[0] if cells else None
        self._by: dict[tuple[str | None, str | None, int | None], Cell] = {}
        for cell in cells:
            for key in self._keys(cell.variant, cell.point, cell.seed):
                self._by.setdefault(key, cell)

    def of(self, record: Record) -> Cell:
        found = (self._by.get(key) for key in self._keys(record.variant, record.point, record.seed))
        nearest = next((cell for cell in found if cell is not None), self._first)
        assert nearest is not None, "a suite has a cell"
        return nearest

    @staticmethod
    def _keys(variant: str, point: Mapping[str, Any], seed: int) -> Iterator[tuple[str | None, str | None, int | None]]:
        """From the nearest on."""
        where = json.dumps(point, sort_keys=True, default=str)
        for one in (variant, None):
            for other in (where, None):
                for last in (seed, None):
                    yield one, other, last


def _otherwise(record: Record, suite: Suite, cells: _Nearest) -> str:
    """What ``record`` declares otherwise than the cell that is nearest to it by variant, point and seed."""
    nearest = cells.of(record)
    own = frozenset(suite.variants[nearest.variant].set)
    return (
        difference(
            Declaration(record.variant, record.point, record.declared, own),
            Declaration(nearest.variant, nearest.point, nearest.inputs.model_dump(mode="json"), own),
        )
        or "another variant, point or seed"
    )


def _state(results: ResultsFolder, identity: str, label: str, record: Record | None, damaged: list[str]) -> CellState:
    if record is None:
        return CellState(identity, label, "left")
    if record.status == "started":
        try:
            progress = progress_of(read_events(results.folder_of(record).events))
        except (DamagedEvents, OSError) as error:
            progress = None
            damaged.append(str(error))
        return CellState(identity, label, "running", record, progress)
    state: State = "failed" if record.status in FAILED else "left" if record.status in UNFINISHED else "done"
    return CellState(identity, label, state, record)
