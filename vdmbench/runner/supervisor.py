"""Run a planned suite: what is finished stays, what is not is run, and nothing is lost in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vdmbench.records import CellHistory, Event, Record, ResultsFolder, Status
from vdmbench.records.lock import try_lock
from vdmbench.runner.attempt import record_without_running, run_attempt
from vdmbench.runner.planning import Planned
from vdmbench.suite.blocks import Run

# Outcomes that another try would not change; `--retry` names the exceptions.
SETTLED: frozenset[Status] = frozenset({"ok", "oom", "nan", "infeasible", "timeout"})
FAILED: frozenset[Status] = frozenset({"error", "signal", "nan", "timeout"})

EXIT_COMPLETE, EXIT_FAILED, EXIT_INCOMPLETE = 0, 1, 3


class Observer(Protocol):
    """Whoever wants to show how a run goes."""

    def cell_started(self, planned: Planned, number: int, total: int) -> None: ...

    def event(self, event: Event) -> None: ...

    def cell_ended(self, planned: Planned, record: Record, *, reused: bool) -> None: ...


@dataclass
class Summary:
    """What became of every cell of a suite."""

    records: list[tuple[Planned, Record]] = field(default_factory=list)
    ran: int = 0
    left: list[Planned] = field(default_factory=list)
    """Not run: another supervisor has them, or the run ended before."""

    @property
    def failed(self) -> list[tuple[Planned, Record]]:
        return [(planned, record) for planned, record in self.records if record.status in FAILED]

    @property
    def exit_code(self) -> int:
        """1 if a cell failed, 3 if cells are left, else 0. Out of memory and infeasible are results, not failures."""
        if self.failed:
            return EXIT_FAILED
        return EXIT_INCOMPLETE if self.left else EXIT_COMPLETE


def needs_running(history: CellHistory | None, retry: frozenset[Status]) -> bool:
    """Whether a cell is still to be run: never if it is ok, and not if its outcome is settled, unless named by ``retry``."""
    if history is None:
        return True
    status = history.latest.status
    return status != "ok" and (status not in SETTLED or status in retry)


def run_suite(
    results: ResultsFolder,
    plan: Sequence[Planned],
    run: Run,
    observer: Observer,
    *,
    retry: frozenset[Status] = frozenset(),
    fail_fast: bool = False,
) -> Summary:
    """Run every cell of ``plan`` that needs it, one at a time, in order.

    A KeyboardInterrupt goes on up once the running cell's record is durable.
    """
    summary = Summary()
    for number, planned in enumerate(plan, start=1):
        identity = planned.cell.identity
        if fail_fast and summary.failed:
            summary.left.append(planned)
            continue
        with try_lock(results.cell_folder(identity) / "lock") as mine:
            # Read under the lock: another supervisor may have finished the cell since the plan was made.
            history = results.history(identity)
            if history is not None and not needs_running(history, retry):
                observer.cell_ended(planned, history.latest, reused=True)
                summary.records.append((planned, history.latest))
                continue
            if not mine:
                summary.left.append(planned)
                continue
            observer.cell_started(planned, number, len(plan))
            ordinal = results.next_ordinal(identity)
            if planned.solved is None:
                record = record_without_running(results, planned.cell, ordinal, "infeasible", planned.infeasible or "")
            else:
                record = run_attempt(results, planned.cell, planned.solved, run, ordinal, observer.event)
            summary.ran += 1
            summary.records.append((planned, record))
            observer.cell_ended(planned, record, reused=False)
    return summary
