"""What has become of a suite's cells, read from its results folder alone: no lock, no process, nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import mean
from typing import Literal

from vdmbench.records import UNFINISHED, CellHistory, Progress, Record, ResultsFolder, progress_of, read_events
from vdmbench.runner.schedule import seconds_taken
from vdmbench.runner.settled import FAILED

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

    def count(self, state: State) -> int:
        return sum(cell.state == state for cell in self.cells)

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
    """Read ``results``. Cells come in the order of the suite that was run there last; those of earlier suites follow.

    :raises ResultsError: there are no results, or a damaged record.
    """
    histories = {history.identity: history for history in results.histories()}
    name, declared, note = _declared(results, histories)
    states = [_state(results, identity, label, histories.get(identity)) for identity, label in declared.items()]
    return Survey(name, states, note)


def _declared(results: ResultsFolder, histories: dict[str, CellHistory]) -> tuple[str, dict[str, str], str | None]:
    """Name of the suite, and label by identity of every cell that it or an attempt names."""
    from vdmbench.suite import expand, parse_suite

    begun = {identity: history.latest.label for identity, history in histories.items()}
    kept = results.suite()
    name = next((history.latest.suite for history in histories.values()), results.path.name)
    if kept is None:
        return name, begun, "no suite.json is kept here: cells that were never begun are not listed"
    try:
        suite, lines = parse_suite(kept, str(results.path / "suite.json"))
        cells = expand(suite, lines)
    except ValueError as error:  # a user's Python file that is not here, or another version of vdmbench
        return name, begun, f"cells that were never begun are not listed: {error}"
    return suite.name, {cell.identity: cell.label for cell in cells} | begun, None


def _state(results: ResultsFolder, identity: str, label: str, history: CellHistory | None) -> CellState:
    if history is None:
        return CellState(identity, label, "left")
    record = history.latest
    if record.status == "started":
        events = read_events(results.folder_of(record).events)
        return CellState(identity, label, "running", record, progress_of(events))
    state: State = "failed" if record.status in FAILED else "left" if record.status in UNFINISHED else "done"
    return CellState(identity, label, state, record)
