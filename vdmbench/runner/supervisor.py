"""Run a planned suite: what is finished stays, what is not is run, and nothing is lost in between."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from vdmbench.records import UNFINISHED, Event, Progress, Record, ResultsFolder, Status
from vdmbench.runner.attempt import how_interrupted
from vdmbench.runner.beginning import Blocked, Waits, beginning
from vdmbench.runner.executors import Ended, Executor
from vdmbench.runner.one_cell import ATTEMPT_STARTED, leave_blocked
from vdmbench.runner.planning import Planned
from vdmbench.runner.schedule import Estimates
from vdmbench.runner.settled import FAILED, needs_running
from vdmbench.suite import Cell, dependencies

EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE = 0, 1, 3
_LISTEN_SECONDS = 0.5
_ESTIMATE_SECONDS = 10.0
"""Between two estimates of the time left while nothing ends: with thousands of cells waiting one takes a while."""


class Observer(Protocol):
    """Whoever wants to show how a run goes."""

    def found(self, statuses: Counter[Status], waiting: Sequence[Planned]) -> None:
        """Before anything runs: what earlier runs made of cells, and those that are to run now, in order."""

    def cell_started(self, planned: Planned, number: int, total: int) -> None: ...

    def event(self, planned: Planned, event: Event) -> None: ...

    def cell_ended(self, planned: Planned, record: Record) -> None: ...

    def seconds_left(self, seconds: float | None) -> None:
        """The estimate changed: seconds from now until the last of the waiting cells ends; None where nothing tells."""

    def stopping(self, reason: str) -> None:
        """Running cells are told to leave a checkpoint and end."""


@dataclass
class Summary:
    """What became of every cell of a suite."""

    statuses: dict[str, Status] = field(default_factory=dict)
    """Of every cell that has a result, by identity, in the order of the suite."""
    records: list[tuple[Cell, Record]] = field(default_factory=list)
    """Of the cells that ran now, and of all that are not ok."""
    ran: int = 0
    left: list[Cell] = field(default_factory=list)
    """Not run: another supervisor has them, they were not selected, or the run ended before."""
    waits: dict[str, str] = field(default_factory=dict)
    """Why cells that are left could not begin, by identity: what they wait for was not run either."""

    @property
    def failed(self) -> list[tuple[Cell, Record]]:
        return [(cell, record) for cell, record in self.records if record.status in FAILED]

    @property
    def exit_code(self) -> int:
        """1 if a cell failed, 3 if cells are left or were cut short, else 0. Out of memory and infeasible are results."""
        if self.failed:
            return EXIT_FAILED
        cut_short = any(status in UNFINISHED for status in self.statuses.values())
        return EXIT_INCOMPLETE if self.left or cut_short else EXIT_COMPLETE


@dataclass(frozen=True)
class Limits:
    """When a run ends before its last cell; the same command goes on later."""

    max_cells: int | None = None
    """Attempts."""
    fail_fast: bool = False
    """No cell begins after one has failed; those that run end as they would."""
    wall_seconds: float | None = None
    """Then running cells leave a checkpoint and end as ``interrupted``."""


def run_suite(
    results: ResultsFolder,
    plan: Sequence[Planned],
    executor: Executor,
    observer: Observer,
    *,
    left_out: Sequence[Cell] = (),
    retry: frozenset[Status] = frozenset(),
    limits: Limits | None = None,
    ended_before: Mapping[str, frozenset[str]] | None = None,
) -> Summary:
    """Have ``executor`` run every cell of ``plan`` that needs it: in order where it runs one at a time, else longest first, and
    those first that others wait for. A cell that others keep from beginning is blocked, and left with the reason.

    Cells that are ``left_out`` are not run; the summary tells what earlier runs made of them. At a KeyboardInterrupt running
    cells leave a checkpoint and end as ``interrupted``, and it goes on up once their records are durable; a second one lets
    them leave no checkpoint.

    :param ended_before: by identity, the ids of the attempts at each cell that had ended when the run began; what another run
        has come to since is not tried again. None: it begins now.
    """
    summary = Summary()
    if ended_before is None:
        ended_before = {planned.cell.identity: results.ended_attempts(planned.cell.identity) for planned in plan}
    known = [replace(planned, ended_before=ended_before.get(planned.cell.identity)) for planned in plan]
    waiting = [planned for planned in known if _to_run(planned.cell, results, retry, summary, planned.ended_before)]
    unselected = [cell for cell in left_out if _to_run(cell, results, frozenset(), summary, ended_before.get(cell.identity))]
    done = [planned for planned in plan if summary.statuses.get(planned.cell.identity) == "ok"]
    going = _Going(results, waiting, done, executor, observer, summary)
    observer.found(Counter(summary.statuses.values()), going.waiting)
    with executor:
        try:
            going.run(limits or Limits())
        except BaseException as cause:
            going.end(how_interrupted(cause) if isinstance(cause, KeyboardInterrupt) else f"the run failed: {cause}")
            raise
    never_begun = {planned.cell.identity for planned in going.waiting}
    summary.left += [planned.cell for planned in waiting if planned.cell.identity in never_begun]
    summary.left += [
        cell for cell in unselected if _to_run(cell, results, frozenset(), summary, ended_before.get(cell.identity))
    ]
    order = {cell.identity: n for n, cell in enumerate([*(planned.cell for planned in plan), *left_out])}
    summary.statuses = {identity: summary.statuses[identity] for identity in sorted(summary.statuses, key=order.__getitem__)}
    summary.records.sort(key=lambda ended: order[ended[0].identity])
    return summary


def _to_run(
    cell: Cell, results: ResultsFolder, retry: frozenset[Status], summary: Summary, ended_before: frozenset[str] | None
) -> bool:
    """Whether an attempt is needed; where not, the summary tells what became of the cell."""
    history = results.history(cell.identity)
    if history is None or needs_running(history, retry, ended_before):
        return True
    summary.statuses[cell.identity] = history.latest.status
    if history.latest.status != "ok":
        summary.records.append((cell, history.latest))
    return False


class _Going:
    """A run between its first cell and its last."""

    def __init__(
        self,
        results: ResultsFolder,
        waiting: Sequence[Planned],
        done: Sequence[Planned],
        executor: Executor,
        observer: Observer,
        summary: Summary,
    ) -> None:
        self._results = results
        self._needs = {
            planned.cell.identity: {needed.identity for needed in dependencies(planned.cell)}
            for planned in waiting
            if planned.cell.waits
        }
        self._needed = set().union(*self._needs.values())
        self._executor, self._observer, self._summary = executor, observer, summary
        self._estimates = Estimates()
        for planned in done:
            self._estimates.begin(planned)
        self.waiting = list(waiting)
        self._order()
        self._total = len(waiting)
        self._running: dict[str, Planned] = {}
        self._begun: dict[str, float] = {}
        """When an attempt began, by identity."""
        self._progress: dict[str, Progress] = {}
        self._before_training: dict[str, float] = {}
        self._next_estimate = 0.0
        self._errors: list[Exception] = []

    def run(self, limits: Limits) -> None:
        """Until nothing runs and nothing may begin."""
        deadline = None if limits.wall_seconds is None else time.monotonic() + limits.wall_seconds
        told = False
        while True:
            late = deadline is not None and time.monotonic() >= deadline
            if late and not told:
                told = True
                self._stop(f"the run's limit of {limits.wall_seconds:g} s was reached")
            if not late and not (limits.fail_fast and self._summary.failed):
                self._submit(limits.max_cells)
            if not self._running:
                return
            self._listen(_LISTEN_SECONDS if deadline is None else min(_LISTEN_SECONDS, max(0.01, deadline - time.monotonic())))
            if self._errors:
                raise self._errors[0]

    def _submit(self, max_cells: int | None) -> None:
        room = self._executor.slots - len(self._running)
        if max_cells is not None:
            room = min(room, max_cells - self._summary.ran - len(self._running))
        cells = self._ready(max(0, room))
        for planned in cells:
            self._estimates.begin(planned)
        if cells:
            self._running |= {planned.cell.identity: planned for planned in cells}
            self._executor.submit(cells)

    def _order(self) -> None:
        """Several at a time go longest first, and before them those that others wait for."""
        if self._executor.slots > 1:
            longest = self._estimates.longest_first(self.waiting)
            self.waiting = sorted(longest, key=lambda planned: planned.cell.identity not in self._needed)

    def _ready(self, room: int) -> list[Planned]:
        """Take up to ``room`` of the waiting cells, each with what it begins with; those that are blocked are left as such."""
        if not self._needs:
            ready, self.waiting = self.waiting[:room], self.waiting[room:]
            return ready
        ready, look = [], True
        while look:  # again after a cell was blocked, for others may wait for it
            look = False
            pending = {*self._running, *(planned.cell.identity for planned in (*self.waiting, *ready))}
            for planned in list(self.waiting):
                if len(ready) == room:
                    break
                needs = self._needs.get(planned.cell.identity, set())
                if needs & pending:
                    continue
                found = beginning(planned, self._results) if needs else None
                if isinstance(found, Waits):
                    self._summary.waits[planned.cell.identity] = found.reason
                    continue
                self.waiting.remove(planned)
                if isinstance(found, Blocked):
                    self._block(planned, found)
                    look = True
                else:
                    ready.append(replace(planned, beginning=found))
        return ready

    def _block(self, planned: Planned, blocked: Blocked) -> None:
        """Leave the record of a cell that cannot begin."""
        record = leave_blocked(self._results, planned.cell, blocked)
        if record is None:
            self._summary.left.append(planned.cell)
        else:
            self._summary.statuses[planned.cell.identity] = record.status
            self._summary.records.append((planned.cell, record))
            self._observer.cell_ended(planned, record)

    def _listen(self, seconds: float) -> None:
        """Hear one message, if there is one."""
        message = self._executor.next(seconds)
        planned = None if message is None else self._running.get(message.identity)
        if message is None or planned is None:
            return
        if isinstance(message, Ended):
            self._ended(planned, message)
            return
        if message.event["type"] == ATTEMPT_STARTED:
            self._begun[message.identity] = time.monotonic()
            self._observer.cell_started(planned, len(self._begun), self._total)
        self._observer.event(planned, message.event)
        self._follow(planned, message.event)

    def _follow(self, planned: Planned, event: Event) -> None:
        identity, now = planned.cell.identity, time.monotonic()
        progress = self._progress[identity] = self._progress.get(identity, Progress()).after(event)
        if progress.phase == "train" and event["type"] == "progress":
            before = self._before_training.setdefault(identity, now - self._begun.get(identity, now))
            self._estimates.learn_early(planned, before, progress)
            if self._estimates.known and now >= self._next_estimate:
                self._estimate(now)

    def _estimate(self, now: float) -> None:
        self._next_estimate = now + _ESTIMATE_SECONDS
        running = [(each, now - self._begun.get(identity, now)) for identity, each in self._running.items()]
        self._observer.seconds_left(self._estimates.time_left(self.waiting, running, self._executor.slots))

    def _ended(self, planned: Planned, message: Ended) -> None:
        del self._running[message.identity]
        if message.error is not None:
            self._errors.append(message.error)
        elif message.record is None:
            self._summary.left.append(planned.cell)
        else:
            self._summary.ran += message.identity in self._begun
            self._summary.statuses[message.identity] = message.record.status
            self._summary.records.append((planned.cell, message.record))
            self._observer.cell_ended(planned, message.record)
            self._estimates.learn(planned, message.record)
            self._order()
        self._estimate(time.monotonic())

    def _stop(self, reason: str) -> None:
        self._observer.stopping(reason)
        self._executor.stop(reason)

    def end(self, reason: str) -> None:
        """Let what runs leave a checkpoint, and hear its end; a second interrupt lets it leave none."""
        self._stop(reason)
        try:
            while self._running:
                self._listen(_LISTEN_SECONDS)
        except KeyboardInterrupt:
            self._executor.kill()
            while self._running:
                self._listen(_LISTEN_SECONDS)
