"""What Slurm's queue says of jobs. submitit asks the accounting, which not every cluster keeps and which lags behind."""

from __future__ import annotations

import subprocess
import time

_ASK_SECONDS = 15.0
_MISSES = 2
"""Looks in a row that a job must be missing from the queue: between two of its lives it is nowhere."""


class Queue:
    """The jobs of this user that wait or run, asked for all at once and seldom."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._asked = -_ASK_SECONDS
        self._looks = 0
        self._missing: dict[str, tuple[int, int]] = {}

    def has_lost(self, job_id: str) -> bool:
        """Whether the job is over although it left no result: cancelled, failed to start, or its node died for good."""
        self._refresh()
        if job_id in self._states or not self._looks:
            self._missing.pop(job_id, None)
            return False
        count, look = self._missing.get(job_id, (0, 0))
        if look != self._looks:
            count, look = count + 1, self._looks
        self._missing[job_id] = count, look
        return count > _MISSES

    def is_waiting(self, job_id: str) -> bool:
        self._refresh()
        return self._states.get(job_id) == "PENDING"

    def _refresh(self) -> None:
        if time.monotonic() - self._asked < _ASK_SECONDS:
            return
        self._asked = time.monotonic()
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode == 0:  # else the controller is away for a moment, which says nothing of jobs
            self._states = dict(line.split(maxsplit=1) for line in said.stdout.splitlines() if line.strip())
            self._looks += 1
