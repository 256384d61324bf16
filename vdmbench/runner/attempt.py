"""Supervise one attempt: start the worker, watch it, end it if need be, and write what became of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from vdmbench.cards import usable_bytes
from vdmbench.file_lock import BEAT_SECONDS
from vdmbench.measure.environment import container_oom_kills
from vdmbench.records import (
    Attempt,
    Event,
    EventTail,
    ProcessIdentity,
    Record,
    ResultsFolder,
    Solved,
    Status,
    Tuned,
    beat,
    read_events,
)
from vdmbench.records.published import without_host
from vdmbench.runner.beginning import Beginning, edge_warnings
from vdmbench.runner.device_watch import DeviceWatch
from vdmbench.runner.devices import choose_gpus, worker_environment
from vdmbench.runner.fold import fold, utc_now
from vdmbench.runner.launch import Worker
from vdmbench.runner.places import Place
from vdmbench.runner.planning import PlanningFailed, what_would_fit
from vdmbench.runner.preemption import Preempted
from vdmbench.runner.stopping import Stop
from vdmbench.runner.task import Task
from vdmbench.runner.trained_alike import find_trained, note_trained, training_key
from vdmbench.runner.training_done import with_measured_training
from vdmbench.suite import Cell, CellInputs
from vdmbench.suite.blocks import Run
from vdmbench.suite.dependencies import with_value
from vdmbench.suite.warnings import cell_warnings

POLL_SECONDS = 0.05
LOOK_SECONDS = 0.5
"""Between two looks whether the results are still there."""

Listener = Callable[[Event], None]


def started_record(cell: Cell, solved: Solved | None, ordinal: int, me: ProcessIdentity, tuned: Tuned | None = None) -> Record:
    """What is known before anything ran."""
    chosen = tuned is not None and tuned.chosen is not None
    inputs = with_value(cell.inputs, tuned.chosen) if tuned is not None and chosen else cell.inputs
    return Record(
        identity=cell.identity,
        suite=cell.suite,
        variant=cell.variant,
        point=cell.point,
        seed=cell.seed,
        declared=cell.inputs.model_dump(mode="json"),
        warnings=[*cell_warnings(inputs), *edge_warnings(tuned)],
        status="started",
        for_tuning=cell.for_tuning,
        tuned=tuned,
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


def record_without_running(
    results: ResultsFolder,
    cell: Cell,
    ordinal: int,
    status: Status,
    message: str,
    tuned: Tuned | None = None,
    *,
    identify_host: bool = False,
) -> Record:
    """Leave the record of a cell that was decided before a worker was needed, such as an infeasible one."""
    started = started_record(cell, None, ordinal, results.this_process(by_name=identify_host), tuned)
    folder = results.new_attempt(started)
    record = started.model_copy(
        update={"status": status, "message": message, "attempt": started.attempt.model_copy(update={"ended": utc_now()})}
    )
    results.finish(folder, record)
    return record


def run_attempt(
    results: ResultsFolder,
    cell: Cell,
    begins: Beginning,
    solved: Solved,
    run: Run,
    ordinal: int,
    place: Place,
    listen: Listener,
    stop: Stop,
) -> Record:
    """Run one cell, as it ``begins``, to an end in ``place``, and return the record that was made durable.

    ``stop``, asked in another thread, ends the worker and leaves an ``interrupted`` record. A KeyboardInterrupt in this one,
    and :class:`Preempted` is one, does so too, and goes on up. Where the attempt's folder is gone the worker is killed, and
    :class:`~vdmbench.records.ResultsGone` raised.
    """
    started = started_record(cell, solved, ordinal, results.this_process(by_name=run.identify_host), begins.tuned)
    folder = results.new_attempt(started)
    key = training_key(begins.inputs, solved, begins.weights)
    trained = find_trained(results, key, but=cell.identity)
    Task(
        cell=cell.identity,
        inputs=begins.inputs,
        solved=solved,
        run=run,
        weights=begins.weights,
        checkpoint_folder=results.checkpoint_folder(cell.identity),
        reference_cache=results.path / "reference",
        trained_alike=trained[0] if trained else None,
        read_before=begins.read_before,
    ).write(folder.path)
    devices = begins.inputs.train.devices
    gpus = choose_gpus(run, place, devices)
    gpu = next(iter(gpus), None)
    cut_short: tuple[Status, str] | None = None
    interrupt: KeyboardInterrupt | None = None
    began = time.monotonic()
    kills = container_oom_kills()
    with DeviceWatch(gpus) as memory:
        worker = Worker(folder, worker_environment(*gpus), place, devices)
        memory.watch(worker.pid)
        tail = EventTail(folder.events)

        def hear() -> None:
            for event in tail.new():
                memory.follow(event)
                listen(event)

        look, next_beat = began, began + BEAT_SECONDS
        try:
            while worker.running():
                asked = stop.wait(POLL_SECONDS)
                if (now := time.monotonic()) >= look:
                    look = now + LOOK_SECONDS
                    results.require(folder)
                if now >= next_beat:
                    next_beat = now + BEAT_SECONDS
                    with suppress(OSError):  # a full disk: the worker will say so, and one missed heartbeat is no matter
                        beat(folder.events)
                hear()
                if asked:
                    cut_short = "interrupted", f"interrupted: {stop.reason}"
                elif run.wall_limit is not None and time.monotonic() - began > run.wall_limit:
                    cut_short = "timeout", f"ended after its limit of {run.wall_limit:g} s"
                if cut_short is not None:
                    worker.end(stop)
        except KeyboardInterrupt as interrupted:
            cut_short, interrupt = ("interrupted", f"interrupted: {how_interrupted(interrupted)}"), interrupted
            worker.end(stop)
        except Exception:  # the folder is gone, or cannot be read: nothing of what the worker does could be kept
            worker.kill()
            raise
        exit = worker.exit()
        hear()
        device_memory = memory.stop()
    record = fold(
        started,
        read_events(folder.events),
        exit=exit,
        cut_short=cut_short,
        device_memory=device_memory,
        phase_device_peaks=memory.phase_peaks,
        killed_for_memory=container_oom_kills() > kills,
    )
    if not run.identify_host:
        record = record.model_copy(
            update={
                "message": record.message and without_host(record.message),
                "exit": record.exit and record.exit.model_copy(update={"stderr_tail": without_host(record.exit.stderr_tail)}),
            }
        )
    record = with_measured_training(record, results, trained[1] if trained else None)
    record = record.model_copy(update={"environment": {**record.environment, "place": place.as_environment()}})
    if record.status == "oom":
        capacity = run.memory_limit or (usable_bytes(gpu.total_bytes) if gpu is not None else None)
        try:
            record = _with_what_would_fit(record, begins.inputs, solved, capacity, stop)
        except KeyboardInterrupt as interrupted:  # what would have fitted can be missed; what happened cannot
            interrupt = interrupted
    results.finish(folder, record)
    note_trained(results, key, record)
    if interrupt is not None:
        raise interrupt
    return record


def how_interrupted(interrupt: KeyboardInterrupt) -> str:
    """By whom, for a record."""
    if isinstance(interrupt, Preempted):
        return f"the supervising process was told to end ({interrupt.signal.name})"
    return "from the keyboard"


def _with_what_would_fit(record: Record, inputs: CellInputs, solved: Solved, capacity: int | None, stop: Stop) -> Record:
    """An attempt that ran out of memory also says what would have fitted; where that cannot be told, why not."""
    try:
        found = what_would_fit(inputs, solved, capacity, stop)
    except PlanningFailed as error:
        return record.model_copy(update={"message": f"{record.message} (what would have fitted is unknown: {error})"})
    settings = ", ".join(f"{knob} {setting}" for knob, setting in found.largest.items() if setting is not None)
    hint = f"; by simulation {capacity:,} bytes would hold {settings}" if settings else ""
    return record.model_copy(update={"out_of_memory": found, "message": f"{record.message}{hint}"})
