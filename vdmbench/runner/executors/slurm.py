"""Cells as jobs of a Slurm cluster, in arrays, through submitit.

A job supervises its cell's worker as every executor does, and writes the record into the results folder, which all nodes share.
It needs nobody: whoever submitted it may go away, and look again later. A job that is preempted, or comes to its time limit,
lets the worker leave a checkpoint and is queued again; the cell goes on from there in a new attempt.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vdmbench.records import EventTail, ResultsFolder, Status, parse_record
from vdmbench.runner.executors.executor import Ended, Heard
from vdmbench.runner.executors.lost import close_lost_attempts
from vdmbench.runner.executors.slurm_job import CellJob
from vdmbench.runner.executors.slurm_queue import Queue
from vdmbench.runner.one_cell import ATTEMPT_STARTED
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.suite.blocks import Run
from vdmbench.user_code import allowed

MANY = 1000
"""Cells in the queue at a time, unless fewer are asked for: the largest array that Slurm takes as it comes."""
DAY_MINUTES = 24 * 60
TIME_LIMITS = 100
"""Times that a job may come to its time limit and go on."""
_STARTING_SECONDS = 300
"""Of a job's time limit, beyond its cell's: interpreter, data, and what a last checkpoint takes."""


class CannotSubmit(ValueError):
    """The package is missing, there is no Slurm here, or it refuses what was asked; the message says which."""


@dataclass
class _Submitted:
    """A cell that is with Slurm."""

    planned: Planned
    job: Any
    known: set[Path]
    """Attempts that were there before."""
    tail: EventTail | None = None


class SlurmExecutor:
    """A job a cell: one task with ``cpus`` cores and, where ``run.device`` is cuda, ``train.devices`` GPUs.

    :param at_once: jobs that may run at a time.
    :param options: of sbatch, by their long names, such as ``qos`` or ``constraint``; ``time`` is in minutes.
    :param cluster: of submitit; ``local`` runs jobs as processes of this machine, without Slurm.
    :raises CannotSubmit: see there.
    """

    def __init__(
        self,
        results: ResultsFolder,
        run: Run,
        *,
        retry: frozenset[Status] = frozenset(),
        partition: str | None = None,
        account: str | None = None,
        at_once: int | None = None,
        cpus: int = 1,
        options: Mapping[str, str] | None = None,
        cluster: str = "slurm",
    ) -> None:
        self._results = ResultsFolder(results.path.resolve())
        self._run, self._retry, self._cluster = run, retry, cluster
        self._slots = at_once or MANY
        self._wishes = self._results.path / "slurm" / f"stop-{secrets.token_hex(4)}"
        self._given: dict[str, _Submitted] = {}
        self._messages: deque[Heard | Ended] = deque()
        self._submitit = _imported_submitit()
        try:
            self._executor = self._submitit.AutoExecutor(
                folder=self._results.path / "slurm" / "%j", cluster=cluster, slurm_max_num_timeout=TIME_LIMITS
            )
        except RuntimeError as error:
            raise CannotSubmit(f"--executor slurm: {error}; run it where sbatch is, on a node that submits jobs") from None
        self._queue = Queue() if cluster == "slurm" else None
        self._parameters = _parameters(run, partition, account, self._slots, cpus, dict(options or {}))

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, cells: Sequence[Planned]) -> None:
        for devices in sorted({planned.cell.inputs.train.devices for planned in cells}):
            alike = [planned for planned in cells if planned.cell.inputs.train.devices == devices]
            gpus = devices if self._run.device == "cuda" else 0
            self._executor.update_parameters(**_for(self._cluster, {**self._parameters, "gpus_per_node": gpus}))
            known = {p.cell.identity: {f.path for f in self._results.attempt_folders(p.cell.identity)} for p in alike}
            tasks = [
                CellJob(self._results.path, self._wishes, Path.cwd(), planned, self._run, self._retry, allowed())
                for planned in alike
            ]
            try:
                with self._executor.batch():
                    jobs = [self._executor.submit(task) for task in tasks]
            except self._submitit.core.utils.FailedJobError as error:
                refused = CannotSubmit(f"sbatch refused: {' '.join(str(error).split())[-500:]}")
                self._messages += [Ended(planned.cell.identity, error=refused) for planned in alike]
                continue
            for planned, job in zip(alike, jobs, strict=True):
                identity = planned.cell.identity
                self._given[identity] = _Submitted(planned, job, known[identity])

    def submitted(self, identity: str) -> Any:
        """submitit's job of a cell that has not ended; KeyError of another."""
        return self._given[identity].job

    def next(self, timeout: float) -> Heard | Ended | None:
        deadline = time.monotonic() + timeout
        while not self._messages:
            for identity, given in list(self._given.items()):
                self._look(identity, given)
            if self._messages or time.monotonic() > deadline:
                break
            time.sleep(min(0.5, timeout))
        return self._messages.popleft() if self._messages else None

    def _look(self, identity: str, given: _Submitted) -> None:
        if self._queue is None:
            gone = given.job.done()
        else:
            gone = given.job.paths.result_pickle.exists() or self._queue.has_lost(given.job.job_id)
        self._hear(identity, given)
        if gone:
            del self._given[identity]
            self._messages.append(self._ended(identity, given))

    def _hear(self, identity: str, given: _Submitted) -> None:
        """Events of the attempts that the job has made so far: each time that it was queued again, one more."""
        for folder in self._results.attempt_folders(identity):
            if folder.path in given.known or not folder.started.exists():
                continue
            if given.tail is not None:
                self._messages += [Heard(identity, event) for event in given.tail.new()]
            given.known.add(folder.path)
            given.tail = EventTail(folder.events)
            started = parse_record(folder.started.read_bytes(), folder.started)
            event = {"at": round(time.time(), 3), "type": ATTEMPT_STARTED, "ordinal": started.attempt.ordinal,
                     "place": Place().as_environment()}  # fmt: skip
            self._messages.append(Heard(identity, event))
        if given.tail is not None:
            self._messages += [Heard(identity, event) for event in given.tail.new()]

    def _ended(self, identity: str, given: _Submitted) -> Ended:
        """What the results folder says; of a job that was cancelled or lost, its attempt as interrupted."""
        if given.tail is None:  # no attempt of its own: somebody else had the cell, or it was cancelled before
            history = self._results.history(identity)
            return Ended(identity, history.latest if history is not None and _status_of(given.job) else None)
        where = given.job.paths.stderr
        return Ended(identity, close_lost_attempts(self._results, identity, f"its Slurm job {given.job.job_id} ended: {where}"))

    def stop(self, reason: str) -> None:
        """Running jobs see a file; those that wait are cancelled."""
        if self._results.path.is_dir():  # where it was moved away, jobs see that themselves
            self._wishes.parent.mkdir(exist_ok=True)
            self._wishes.write_text(reason)
        for given in self._given.values():
            if given.tail is None and self._queue is not None and self._queue.is_waiting(given.job.job_id):
                given.job.cancel(check=False)

    def kill(self) -> None:
        for given in self._given.values():
            given.job.cancel(check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Jobs that are left are cancelled."""
        self.kill()
        if not self._given:
            self._wishes.unlink(missing_ok=True)


def _status_of(job: Any) -> str | None:
    """What the job returned; None also of one that was cancelled or failed."""
    with suppress(Exception):  # whatever it failed of stands in its log
        status: str | None = job.result() if job.paths.result_pickle.exists() else None
        return status
    return None


def _parameters(
    run: Run, partition: str | None, account: str | None, at_once: int, cpus: int, options: dict[str, str]
) -> dict[str, Any]:
    minutes = options.pop("time", None)
    if minutes is not None and not minutes.isdigit():
        raise CannotSubmit(f"--slurm time={minutes}: give whole minutes, such as --slurm time=240")
    of_cell = math.ceil((run.wall_limit + _STARTING_SECONDS) / 60) if run.wall_limit is not None else DAY_MINUTES
    return {
        "name": "vdmbench",
        "timeout_min": int(minutes) if minutes else of_cell,
        "cpus_per_task": cpus,
        "slurm_array_parallelism": at_once,
        "slurm_partition": partition,
        "slurm_account": account,
        "slurm_additional_parameters": {"requeue": True, **options},
        "slurm_signal_delay_s": 60,
    }


def _for(cluster: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Null parameters are Slurm's own choice, and without Slurm only what any machine has counts."""
    return {
        name: value
        for name, value in parameters.items()
        if value is not None and (cluster == "slurm" or not name.startswith("slurm_"))
    }


def _imported_submitit() -> Any:
    try:
        import submitit
        import submitit.core.utils
    except ImportError:
        raise CannotSubmit("--executor slurm needs the package: pip install 'vdmbench[slurm]'") from None
    return submitit
