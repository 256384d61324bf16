"""Run a planned suite: what is finished stays, what is not is run, and nothing is lost in between."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vdmbench.records import UNFINISHED, Event, Record, ResultsFolder, Status
from vdmbench.runner.attempt import how_interrupted
from vdmbench.runner.executors import Ended, Executor
from vdmbench.runner.one_cell import ATTEMPT_STARTED
from vdmbench.runner.planning import Planned
from vdmbench.runner.settled import FAILED, needs_running
from vdmbench.suite import Cell

EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE = 0, 1, 3
_LISTEN_SECONDS = 0.2


class Observer(Protocol):
    """Whoever wants to show how a run goes."""

    def cell_started(self, planned: Planned, number: int, total: int) -> None: ...

    def event(self, planned: Planned, event: Event) -> None: ...

    def cell_ended(self, planned: Planned, record: Record, *, reused: bool) -> None: ...


@dataclass
class Summary:
    """What became of every cell of a suite."""

    records: list[tuple[Cell, Record]] = field(default_factory=list)
    ran: int = 0
    left: list[Cell] = field(default_factory=list)
    """Not run: another supervisor has them, they were not selected, or the run ended before."""

    @property
    def failed(self) -> list[tuple[Cell, Record]]:
        return [(cell, record) for cell, record in self.records if record.status in FAILED]

    @property
    def exit_code(self) -> int:
        """1 if a cell failed, 3 if cells are left or were cut short, else 0. Out of memory and infeasible are results."""
        if self.failed:
            return EXIT_FAILED
        cut_short = any(record.status in UNFINISHED for _, record in self.records)
        return EXIT_INCOMPLETE if self.left or cut_short else EXIT_COMPLETE


def run_suite(
    results: ResultsFolder,
    plan: Sequence[Planned],
    executor: Executor,
    observer: Observer,
    *,
    left_out: Sequence[Cell] = (),
    retry: frozenset[Status] = frozenset(),
    fail_fast: bool = False,
    max_cells: int | None = None,
    wall_limit: float | None = None,
) -> Summary:
    """Have ``executor`` run every cell of ``plan`` that needs it, in order, and at most ``max_cells`` of them.

    Cells that are ``left_out`` are not run; the summary tells what earlier runs made of them. After ``wall_limit`` seconds, and
    at a KeyboardInterrupt, running cells leave a checkpoint and end as ``interrupted``; an interrupt goes on up once their
    records are durable, and a second one lets them leave no checkpoint.
    """
    summary, waiting = Summary(), deque[Planned]()
    for planned in plan:
        history = results.history(planned.cell.identity)
        if history is not None and not needs_running(history, retry):
            observer.cell_ended(planned, history.latest, reused=True)
            summary.records.append((planned.cell, history.latest))
        else:
            waiting.append(planned)
    going = _Going(executor, observer, summary, {planned.cell.identity: n for n, planned in enumerate(plan, start=1)})
    deadline = None if wall_limit is None else time.monotonic() + wall_limit
    with executor:
        try:
            while waiting or going.cells:
                late = deadline is not None and time.monotonic() > deadline
                if late:
                    executor.stop(f"the run's limit of {wall_limit:g} s was reached")
                room = executor.slots - len(going.cells)
                if max_cells is not None:
                    room = min(room, max_cells - summary.ran - len(going.cells))
                if late or (fail_fast and summary.failed):
                    room = 0
                going.submit([waiting.popleft() for _ in range(max(0, min(room, len(waiting))))])
                if not going.cells:
                    break
                going.listen(_LISTEN_SECONDS)
                if going.errors:
                    raise going.errors[0]
        except BaseException as cause:
            executor.stop(how_interrupted(cause) if isinstance(cause, KeyboardInterrupt) else f"the run failed: {cause}")
            going.finish()
            raise
    summary.left += [planned.cell for planned in waiting]
    for cell in left_out:
        history = results.history(cell.identity)
        if history is None or needs_running(history, frozenset()):
            summary.left.append(cell)
        else:
            summary.records.append((cell, history.latest))
    return summary


class _Going:
    """Cells that are with the executor."""

    def __init__(self, executor: Executor, observer: Observer, summary: Summary, numbers: dict[str, int]) -> None:
        self._executor, self._observer, self._summary, self._numbers = executor, observer, summary, numbers
        self.cells: dict[str, Planned] = {}
        self.errors: list[Exception] = []
        """Why cells left no record although they should have."""
        self._begun: set[str] = set()

    def submit(self, cells: Sequence[Planned]) -> None:
        if cells:
            self.cells |= {planned.cell.identity: planned for planned in cells}
            self._executor.submit(cells)

    def listen(self, seconds: float) -> None:
        """Hear one message, if there is one."""
        message = self._executor.next(seconds)
        if message is None:
            return
        planned = self.cells[message.identity]
        if isinstance(message, Ended):
            self._ended(planned, message)
            return
        if message.event["type"] == ATTEMPT_STARTED:
            self._begun.add(message.identity)
            self._observer.cell_started(planned, self._numbers[message.identity], len(self._numbers))
        self._observer.event(planned, message.event)

    def _ended(self, planned: Planned, message: Ended) -> None:
        del self.cells[message.identity]
        if message.error is not None:
            self.errors.append(message.error)
            return
        if message.record is None:
            self._summary.left.append(planned.cell)
            return
        begun = message.identity in self._begun
        self._summary.ran += begun
        self._summary.records.append((planned.cell, message.record))
        self._observer.cell_ended(planned, message.record, reused=not begun)

    def finish(self) -> None:
        """Hear what becomes of cells that were told to end; a second interrupt lets them go at once."""
        try:
            while self.cells:
                self.listen(_LISTEN_SECONDS)
        except KeyboardInterrupt:
            self._executor.kill()
            while self.cells:
                self.listen(_LISTEN_SECONDS)
