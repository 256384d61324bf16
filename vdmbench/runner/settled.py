"""Which outcomes end the matter, and which leave a cell to be run again."""

from __future__ import annotations

from vdmbench.records import UNFINISHED, CellHistory, Status

# Outcomes that another try would not change; `--retry` names the exceptions.
SETTLED: frozenset[Status] = frozenset({"ok", "oom", "nan", "infeasible", "timeout"})
FAILED: frozenset[Status] = frozenset({"error", "signal", "nan", "timeout"})


def needs_running(history: CellHistory | None, retry: frozenset[Status], ended_before: frozenset[str] | None = None) -> bool:
    """Whether a cell is still to be run: never if it is ok, and not if its outcome is settled, unless named by ``retry``.

    :param ended_before: ids of its attempts that had ended when this run began. An outcome that another run has come to since
        counts as a try of this one's too, so that runs beside each other try a cell once, also where it fails. None: it is not
        known.
    """
    if history is None or history.latest.status in UNFINISHED:
        return True
    status = history.latest.status
    if status == "ok" or (ended_before is not None and history.latest.attempt.id not in ended_before):
        return False
    return status not in SETTLED or status in retry
