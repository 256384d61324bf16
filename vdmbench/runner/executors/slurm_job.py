"""What a Slurm job runs: the supervisor of one cell, which can be preempted and queued again."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdmbench.records import Record, ResultsFolder, Status
from vdmbench.runner.launch import GRACE_SECONDS
from vdmbench.runner.one_cell import run_planned
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.runner.stopping import Stop
from vdmbench.suite.blocks import Run
from vdmbench.user_code import allow

_ASK_SECONDS = 2.0
PREEMPTED = "Slurm takes the job's node back, or its time is over; it is queued again"


@dataclass
class CellJob:
    """One cell; pickled into the job, and again when it is preempted."""

    results: Path
    wishes: Path
    """A file that appears where the run is to end, with the reason."""
    folder: Path
    """Working directory of whoever submitted: a suite may name a user's file from there."""
    planned: Planned
    run: Run
    retry: frozenset[Status]
    allowed_code: frozenset[str]
    """Fingerprints of users' code that whoever submitted has allowed to run."""

    def __call__(self) -> str | None:
        """The status that the cell ended with; None where another supervisor holds it."""
        os.chdir(self.folder)
        allow(self.allowed_code)
        self._stop, outcome = Stop(), _Outcome()
        # In a thread: submitit hears of preemption in a signal handler of the main one, and waits there for the checkpoint.
        self._thread = threading.Thread(target=outcome.of, args=(self._supervise,), name=self.planned.cell.label, daemon=True)
        self._thread.start()
        while self._thread.is_alive():
            if self.wishes.exists():
                self._stop.ask(self.wishes.read_text())
            self._thread.join(_ASK_SECONDS)
        if outcome.error is not None:
            raise outcome.error
        return None if outcome.record is None else outcome.record.status

    def _supervise(self) -> Record | None:
        results = ResultsFolder(self.results)
        deadline = time.monotonic() + 2 * GRACE_SECONDS  # a life of this job on another node may just be ending
        while True:
            record = run_planned(
                results, self.planned, self.run, retry=self.retry, place=Place(), listen=lambda event: None, stop=self._stop
            )
            if record is not None or self._stop.asked or time.monotonic() > deadline:
                return record
            time.sleep(1.0)

    def checkpoint(self) -> Any:
        """Called by submitit when Slurm is about to end the job: leave a checkpoint, and run again."""
        import submitit

        self._stop.ask(PREEMPTED)
        self._thread.join(2 * GRACE_SECONDS)
        return submitit.helpers.DelayedSubmission(CellJob(
            self.results, self.wishes, self.folder, self.planned, self.run, self.retry,
            self.allowed_code))  # fmt: skip


class _Outcome:
    """What a thread came to."""

    record: Record | None = None
    error: Exception | None = None

    def of(self, work: Any) -> None:
        try:
            self.record = work()
        except Exception as error:  # raised again by the thread that waits for this one
            self.error = error
