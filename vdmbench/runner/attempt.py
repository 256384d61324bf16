"""Supervise one attempt: start the worker, watch it, end it if need be, and write what became of it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from vdmbench.measure.nvml import NvmlSampler
from vdmbench.memory.devices import usable_bytes
from vdmbench.records import (
    Attempt,
    AttemptFolder,
    DeviceMemory,
    Event,
    EventTail,
    Exit,
    ProcessIdentity,
    Record,
    ResultsFolder,
    Solved,
    Status,
    read_events,
)
from vdmbench.runner.devices import choose_gpu, worker_environment
from vdmbench.runner.fold import fold, utc_now
from vdmbench.runner.planning import PlanningFailed, what_would_fit
from vdmbench.runner.preemption import Preempted
from vdmbench.runner.task import Task
from vdmbench.suite import Cell
from vdmbench.suite.blocks import Run

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
_STDERR_TAIL = 4000

Listener = Callable[[Event], None]


def started_record(cell: Cell, solved: Solved | None, ordinal: int) -> Record:
    """What is known before anything ran."""
    me = ProcessIdentity.current()
    return Record(
        identity=cell.identity,
        suite=cell.suite,
        variant=cell.variant,
        point=cell.point,
        seed=cell.seed,
        declared=cell.inputs.model_dump(mode="json"),
        status="started",
        solved=solved,
        attempt=Attempt(
            id=secrets.token_hex(4),
            ordinal=ordinal,
            host=me.host,
            boot_id=me.boot_id,
            pid=me.pid,
            process_started=me.process_started,
            started=utc_now(),
        ),
    )


def record_without_running(results: ResultsFolder, cell: Cell, ordinal: int, status: Status, message: str) -> Record:
    """Leave the record of a cell that was decided before a worker was needed, such as an infeasible one."""
    started = started_record(cell, None, ordinal)
    folder = results.new_attempt(started)
    record = started.model_copy(
        update={"status": status, "message": message, "attempt": started.attempt.model_copy(update={"ended": utc_now()})}
    )
    results.finish(folder, record)
    return record


class Worker:
    """The child process, in a process group of its own, ended as a whole."""

    def __init__(self, folder: AttemptFolder, environment: dict[str, str]) -> None:
        self._stderr = folder.stderr
        with folder.stderr.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vdmbench.runner.worker", str(folder.path)],
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        self.pid = self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """TERM, grace, KILL, to the whole group."""
        for number, grace in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):  # it ended by itself meanwhile, which is what is wanted
                os.killpg(self.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
                return

    def exit(self) -> Exit:
        """How it ended; whatever it started and left behind is ended too."""
        code = self._process.wait()
        with suppress(ProcessLookupError):  # nothing is left in the group
            os.killpg(self.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        tail = self._stderr.read_bytes()[-_STDERR_TAIL:].decode(errors="replace")
        return Exit(code=code if code >= 0 else None, signal=signal.Signals(-code).name if code < 0 else None, stderr_tail=tail)


def run_attempt(results: ResultsFolder, cell: Cell, solved: Solved, run: Run, ordinal: int, listen: Listener) -> Record:
    """Run one cell to an end, and return the record that was made durable.

    A KeyboardInterrupt, and :class:`Preempted` is one, ends the worker, leaves an ``interrupted`` record, and goes on up.
    """
    started = started_record(cell, solved, ordinal)
    folder = results.new_attempt(started)
    Task(
        inputs=cell.inputs,
        solved=solved,
        run=run,
        checkpoint_folder=results.checkpoint_folder(cell.identity),
        reference_cache=results.path / "reference",
    ).write(folder.path)
    gpu = choose_gpu(run)
    cut_short: tuple[Status, str] | None = None
    interrupt: KeyboardInterrupt | None = None
    began = time.monotonic()
    with NvmlSampler(gpu.uuid if gpu else None) as nvml:
        worker = Worker(folder, worker_environment(gpu))
        nvml.watch(worker.pid)
        tail, laps = EventTail(folder.events), _PhaseLaps(nvml)

        def hear() -> None:
            for event in tail.new():
                laps.follow(event)
                listen(event)

        try:
            while worker.running():
                time.sleep(POLL_SECONDS)
                hear()
                if run.wall_limit is not None and time.monotonic() - began > run.wall_limit:
                    cut_short = "timeout", f"ended after its limit of {run.wall_limit:g} s"
                    worker.end()
        except KeyboardInterrupt as stop:
            how = "the supervising process was told to end (SIGTERM)" if isinstance(stop, Preempted) else "from the keyboard"
            cut_short, interrupt = ("interrupted", f"interrupted: {how}"), stop
            worker.end()
        exit = worker.exit()
        hear()
        reading = nvml.stop()
    record = fold(
        started,
        read_events(folder.events),
        exit=exit,
        cut_short=cut_short,
        device_memory=DeviceMemory(**asdict(reading)),
        phase_device_peaks=laps.peaks,
    )
    if record.status == "oom":
        capacity = run.memory_limit or (usable_bytes(gpu.total_bytes) if gpu is not None else None)
        try:
            record = _with_what_would_fit(record, cell, solved, capacity)
        except KeyboardInterrupt as stop:  # what would have fitted can be missed; what happened cannot
            interrupt = stop
    results.finish(folder, record)
    if interrupt is not None:
        raise interrupt
    return record


def _with_what_would_fit(record: Record, cell: Cell, solved: Solved, capacity: int | None) -> Record:
    """An attempt that ran out of memory also says what would have fitted; where that cannot be told, why not."""
    try:
        found = what_would_fit(cell, solved, capacity)
    except PlanningFailed as error:
        return record.model_copy(update={"message": f"{record.message} (what would have fitted is unknown: {error})"})
    settings = ", ".join(f"{knob} {setting}" for knob, setting in found.largest.items() if setting is not None)
    hint = f"; by simulation {capacity:,} bytes would hold {settings}" if settings else ""
    return record.model_copy(update={"out_of_memory": found, "message": f"{record.message}{hint}"})


class _PhaseLaps:
    """Device memory peaks by phase, cut where the worker says that one begins or ends."""

    def __init__(self, nvml: NvmlSampler) -> None:
        self._nvml = nvml
        self.peaks: dict[str, int] = {}

    def follow(self, event: Event) -> None:
        if event["type"] not in ("phase_started", "phase_ended"):
            return
        lap = self._nvml.lap()
        if event["type"] == "phase_ended" and lap.peak_used_bytes is not None:
            self.peaks[event["phase"]] = lap.peak_used_bytes
