"""Which outcomes end the matter, and which leave a cell to be run again."""

from __future__ import annotations

from vdmbench.records import CellHistory, Status

# Outcomes that another try would not change; `--retry` names the exceptions.
SETTLED: frozenset[Status] = frozenset({"ok", "oom", "nan", "infeasible", "timeout"})
FAILED: frozenset[Status] = frozenset({"error", "signal", "nan", "timeout"})


def needs_running(history: CellHistory | None, retry: frozenset[Status]) -> bool:
    """Whether a cell is still to be run: never if it is ok, and not if its outcome is settled, unless named by ``retry``."""
    return history is None or is_open(history.latest.status, retry)


def is_open(status: Status, retry: frozenset[Status]) -> bool:
    """Whether a cell whose latest attempt ended so is still to be run."""
    return status != "ok" and (status not in SETTLED or status in retry)
