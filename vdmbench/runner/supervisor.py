"""Run a planned suite: what is finished stays, what is not is run, and nothing is lost in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vdmbench.records import UNFINISHED, CellHistory, Event, Record, ResultsFolder, Status
from vdmbench.records.lock import try_lock
from vdmbench.runner.attempt import record_without_running, run_attempt
from vdmbench.runner.planning import Planned
from vdmbench.suite import Cell
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
    left_out: Sequence[Cell] = (),
    retry: frozenset[Status] = frozenset(),
    fail_fast: bool = False,
    max_cells: int | None = None,
) -> Summary:
    """Run every cell of ``plan`` that needs it, one at a time, in order, and at most ``max_cells`` of them.

    Cells that are ``left_out`` are not run; the summary tells what earlier runs made of them. A KeyboardInterrupt goes on up
    once the running cell's record is durable.
    """
    summary = Summary()
    for number, planned in enumerate(plan, start=1):
        identity = planned.cell.identity
        enough = (fail_fast and bool(summary.failed)) or (max_cells is not None and summary.ran >= max_cells)
        with try_lock(results.cell_folder(identity) / "lock") as mine:
            # Read under the lock: another supervisor may have finished the cell since the plan was made.
            history = results.history(identity)
            if history is not None and not needs_running(history, retry):
                observer.cell_ended(planned, history.latest, reused=True)
                summary.records.append((planned.cell, history.latest))
                continue
            if enough or not mine:
                summary.left.append(planned.cell)
                continue
            observer.cell_started(planned, number, len(plan))
            ordinal = results.next_ordinal(identity)
            if planned.solved is None:
                record = record_without_running(results, planned.cell, ordinal, "infeasible", planned.infeasible or "")
            else:
                record = run_attempt(results, planned.cell, planned.solved, run, ordinal, observer.event)
            summary.ran += 1
            summary.records.append((planned.cell, record))
            observer.cell_ended(planned, record, reused=False)
    for cell in left_out:
        history = results.history(cell.identity)
        if history is None or needs_running(history, frozenset()):
            summary.left.append(cell)
        else:
            summary.records.append((cell, history.latest))
    return summary
