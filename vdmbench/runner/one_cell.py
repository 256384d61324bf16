"""Run one planned cell to a durable record, wherever that is asked for: what every executor calls, in a thread of this
process or in a process of another machine that sees the same results folder."""

from __future__ import annotations

import time
from collections.abc import Callable

from vdmbench.records import Event, Record, ResultsFolder, Status
from vdmbench.runner.attempt import record_without_running, run_attempt
from vdmbench.runner.beginning import Beginning, Blocked
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.runner.settled import needs_running
from vdmbench.runner.stopping import Stop
from vdmbench.suite import Cell
from vdmbench.suite.blocks import Run

Listener = Callable[[Event], None]

ATTEMPT_STARTED = "attempt_started"
"""Type of the first event that a listener hears where an attempt begins; a cell that needs none is not heard of."""


def run_planned(
    results: ResultsFolder,
    planned: Planned,
    run: Run,
    *,
    retry: frozenset[Status],
    place: Place,
    listen: Listener,
    stop: Stop | None = None,
) -> Record | None:
    """Take the cell's lock, see whether it still needs running, run it in ``place``, and return the record that is durable.

    None where another supervisor holds the cell, or ``stop`` was asked before it began. A record that another one finished
    meanwhile, of a failure too, is returned as it is, and then ``listen`` hears nothing. ``stop`` ends the attempt from another
    thread; a KeyboardInterrupt, and :class:`~vdmbench.runner.preemption.Preempted` is one, does in this one, and goes on up
    once the ``interrupted`` record is durable.
    """
    identity = planned.cell.identity
    with results.cell_lock(identity) as mine:
        if not mine or (stop is not None and stop.asked):
            return None
        # Read under the lock: another supervisor may have finished the cell since the plan was made.
        history = results.history(identity)
        if history is not None and not needs_running(history, retry, planned.ended_before):
            return history.latest
        ordinal = results.next_ordinal(identity)
        listen({"at": round(time.time(), 3), "type": ATTEMPT_STARTED, "ordinal": ordinal, "place": place.as_environment()})
        begins = planned.beginning or Beginning.as_planned(planned)
        if begins.solved is None:
            why = begins.infeasible or ""
            return record_without_running(results, planned.cell, ordinal, "infeasible", why, identify_host=run.identify_host)
        return run_attempt(results, planned.cell, begins, begins.solved, run, ordinal, place, listen, stop or Stop())


def leave_blocked(results: ResultsFolder, cell: Cell, blocked: Blocked) -> Record | None:
    """Say in a record that the cell cannot begin, and why; once, however often it is found so.

    None where another supervisor holds the cell. A run in which it can begin runs it.
    """
    message = f"blocked: {blocked.reason}"
    with results.cell_lock(cell.identity) as mine:
        if not mine:
            return None
        history = results.history(cell.identity)
        if history is not None and (history.latest.status, history.latest.message) == ("skipped", message):
            return history.latest
        return record_without_running(results, cell, results.next_ordinal(cell.identity), "skipped", message, blocked.tuned)
