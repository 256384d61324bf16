"""The child process that runs one attempt: ``python -m vdmbench.runner.worker ATTEMPT_FOLDER``.

It turns the engine's events into lines of ``events.jsonl`` and files beside them. Its standard input is a lifeline: when
the parent is gone, however it went, the pipe closes and the worker ends too, so that no orphan holds a GPU.

A cell of several devices has a worker for each (:mod:`vdmbench.runner.ranks`). The one that leads tells and writes everything;
the others write one thing, the outcome, where what ended the attempt happened to them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from vdmbench.records import EventLog
from vdmbench.runner.lifeline import end_with_parent
from vdmbench.runner.preemption import LastCheckpoint
from vdmbench.runner.rehearsal import rehearsed
from vdmbench.runner.task import Task
from vdmbench.runner.trained_on import CannotGoOn, DataChanged, DataWatch, TrainedOn, short
from vdmbench.suite import NUMBERS

if TYPE_CHECKING:
    import torch

    from vdmbench import engine
    from vdmbench.runner.checkpoint import Checkpoints


def main(folder: Path) -> int:
    """Run the task in ``folder`` and leave an outcome event, whatever happens short of a kill."""
    end_with_parent()
    log = EventLog(folder / "events.jsonl")
    task = Task.read(folder)
    from vdmbench.engine import NonFinite, Ranks, Stopped, is_lost_peer
    from vdmbench.measure import is_out_of_memory

    several = task.inputs.train.devices > 1
    ranks, failed = Ranks(), False
    outcome: dict[str, Any]
    try:
        if not several or os.environ.get("RANK") == "0":  # of several ranks the one that leads
            log.append({"type": "rehearsed", "rehearsal": rehearsed(task).model_dump()})
        device = _device(task)
        ranks = Ranks.join(device, task.inputs.train.sharding) if several else ranks
        _run(task, folder, log, device, ranks)
        outcome = {"status": "ok"}
    except NonFinite as error:
        outcome = {"status": "nan", "message": str(error)}
    except Stopped as stopped:
        outcome = {"status": "interrupted", "message": str(stopped)}
    except (CannotGoOn, DataChanged) as refusal:
        print(refusal, file=sys.stderr)
        failed = True
        outcome = {"status": "error", "message": str(refusal)}
    except Exception as error:
        traceback.print_exc()
        kind = "oom" if is_out_of_memory(error) else "error"
        if several and kind == "error" and is_lost_peer(error):  # NCCL itself runs out of memory, too
            return _wait_to_be_ended()
        failed = True
        outcome = {"status": kind, "message": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
    if ranks.leads or failed:
        log.append({"type": "outcome", **outcome}, durable=True)
    return int(failed and several)  # the other ranks, which wait for this one, are ended for it


_PEER_LOST = 75


def _wait_to_be_ended() -> int:
    """Another rank died, which whoever launched both is about to see: what happened there is the outcome, not its echo here."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(10)
    return _PEER_LOST


def _device(task: Task) -> torch.device:
    from vdmbench import engine

    device = engine.pick_device(task.run.device)
    return engine.own_device(device) if task.inputs.train.devices > 1 else device


def _run(task: Task, folder: Path, log: EventLog, device: torch.device, ranks: engine.Ranks) -> None:
    import torch

    from vdmbench import engine
    from vdmbench.engine.determinism import repeat_bits
    from vdmbench.matching import resolve
    from vdmbench.measure import capture, hardware_cohort
    from vdmbench.measure.process_memory import keep_heap
    from vdmbench.runner.artifacts import ROLLOUT
    from vdmbench.runner.checkpoint import Checkpoints, how_to_begin_anew, trained_elsewhere
    from vdmbench.runner.memory_limit import enforce
    from vdmbench.runner.memory_snapshot import SNAPSHOT, memory_history

    if task.run.threads is not None:
        torch.set_num_threads(task.run.threads)
    elif device.type == "cpu" and ranks.count > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // ranks.count))
    repeat_bits()  # its warnings stand in stderr.log
    if device.type == "cpu":
        keep_heap()
    environment = capture()
    if task.run.memory_limit is not None:
        enforce(task.run.memory_limit, str(device))
        environment["memory_limit_bytes"] = task.run.memory_limit
    cohort = hardware_cohort(environment, str(device), devices=ranks.count)
    if ranks.leads:
        log.append(
            {
                "type": "environment",
                "environment": environment,
                "cohort": cohort,
                "baseline_rss_bytes": psutil.Process().memory_info().rss,
            }
        )
    resolved = resolve(task.inputs, task.solved.knobs)
    cell = engine.prepare(
        resolved.inputs,
        resolved.network,
        resolved.mixer,
        device,
        latents_cache=task.reference_cache.parent / "latents",
        begins_with=None if task.weights is None else trained_elsewhere(task.weights),
    )
    fingerprints = cell.fingerprints()
    trained_on = _trained_on(task, cell, cohort, fingerprints)
    checkpoints = Checkpoints(task.checkpoint_folder, trained_on)
    resumed, trained_by = checkpoints.latest(), None
    judged, snapshots = engine.judged_steps(resolved.inputs), checkpoints
    if resumed is not None and not checkpoints.hold([step for step in judged if step <= resumed.step]):
        resumed = None  # what was to be judged is gone: those steps are taken again
    if resumed is None and (other := task.trained_alike) is not None:
        alike = other.train_data == fingerprints["train"] and other.cohort == cohort
        others = Checkpoints(other.checkpoint_folder, trained_on.model_copy(update={"cell": other.cell, "inputs": None}))
        try:
            state = others.latest() if alike else None
        except CannotGoOn:
            state = None  # it is that cell's matter; this one trains by itself
        if state is not None and state.step == task.inputs.train.steps and others.hold(list(judged)):
            resumed, trained_by, snapshots = state, other, others
    if ranks.leads:
        for split, fingerprint in fingerprints.items():
            log.append({"type": "data", "split": split, "fingerprint": fingerprint})
        if (found := cell.initialised()) is not None:
            log.append({"type": "initialised", "initialised": found.model_dump()})
        if resumed is not None:
            named = {} if trained_by is None else {"cell": trained_by.cell, "label": trained_by.label}
            log.append({"type": "resumed", "step": resumed.step, **named})
    snapshot = task.run.memory_snapshot and device.type == "cuda" and ranks.leads
    history = memory_history(folder / SNAPSHOT) if snapshot else nullcontext()
    last_checkpoint = LastCheckpoint()
    watch = DataWatch(cell.sources, fingerprints, how_to_begin_anew(task.checkpoint_folder))
    scribe = _Scribe(task, folder, log, checkpoints, last_checkpoint, watch)
    with history:
        engine.run_cell(
            cell,
            scribe if ranks.leads else scribe.follow,
            resume=resumed,
            checkpoint_every=task.run.checkpoint_every,
            reference_cache=task.reference_cache,
            rollout_file=folder / ROLLOUT,
            stop=last_checkpoint.asked,
            ranks=ranks,
            read_snapshot=snapshots.snapshot,
        )
    if ranks.leads:
        watch.look()


def _trained_on(task: Task, cell: engine.Experiment, cohort: str, fingerprints: dict[str, str]) -> TrainedOn:
    """What training stands on here and now. Raises CannotGoOn where cells that this one rests on read other videos."""
    for label, then in task.read_before.items():
        if then != fingerprints["train"]:
            raise CannotGoOn(
                f"{label}, which it rests on, was trained on other videos of the same data.source: they were {short(then)} and "
                f"are {short(fingerprints['train'])} now; bring them back, or begin anew in another results folder (--results)"
            )
    along = cell.inputs.evaluate.val_loss is not None
    return TrainedOn(
        cell=task.cell,
        inputs=task.inputs.identity(),
        numbers=NUMBERS,
        knobs=dict(task.solved.knobs),
        cohort=cohort,
        data=fingerprints if along else {"train": fingerprints["train"]},
        latents="pixels" if cell.latents is None else cell.latents.encoding.autoencoder,
        weights="drawn" if task.weights is None else task.weights.attempt,
    )


class _Scribe:
    """Hears the engine's events, and writes each where it belongs."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        log: EventLog,
        checkpoints: Checkpoints,
        last_checkpoint: LastCheckpoint,
        watch: DataWatch,
    ) -> None:
        self._task, self._folder, self._log, self._checkpoints = task, folder, log, checkpoints
        self._last_checkpoint, self._watch = last_checkpoint, watch

    @property
    def _splits_of_training(self) -> tuple[str, ...]:
        return tuple((self._checkpoints.trained_on or TrainedOn()).data or ())

    def follow(self, event: engine.EngineEvent) -> None:
        """Of a rank that does not lead: hear when SIGTERM means a last checkpoint, and write nothing."""
        from vdmbench import engine

        if isinstance(event, engine.PhaseStarted) and event.phase == "train":
            self._last_checkpoint.training_began()
        elif isinstance(event, engine.Trained):
            self._last_checkpoint.training_ended()

    def __call__(self, event: engine.EngineEvent) -> None:
        from vdmbench import engine
        from vdmbench.runner.artifacts import write_samples

        append = self._log.append
        match event:
            case engine.PhaseStarted():
                append({"type": "phase_started", "phase": event.phase})
                self.follow(event)
            case engine.Progress():
                append({"type": "progress", "phase": event.phase, "step": event.step, "steps": event.steps, "loss": event.loss})
            case engine.PhaseEnded():
                append({"type": "phase_ended", "phase": event.phase, "reading": event.reading.model_dump()})
            case engine.Built():
                if event.parameters != self._task.solved.parameters:
                    raise RuntimeError(
                        f"the network has {event.parameters}, the plan said {self._task.solved.parameters}: "
                        "counting and building disagree, which is an error of vdmbench or of a user's mixer"
                    )
                append({"type": "built", "device": event.device})
            case engine.HeldOut():
                append({"type": "held_out_loss", "step": event.step, "value": event.value, "seconds": event.seconds})
            case engine.CheckpointDue():
                self._watch.look(*self._splits_of_training)  # a state of other videos is not kept
                self._checkpoints.save(event.state)
                append({"type": "checkpoint", "step": event.state.step}, durable=True)
            case engine.SnapshotDue():
                self._watch.look(*self._splits_of_training)
                self._checkpoints.keep(event.snapshot)
            case engine.JudgedEarlier():
                files, point = {}, event.point
                if event.clips is not None and event.real is not None:
                    name = f"samples-after-{point.step}"
                    files = write_samples(self._folder, event.clips, event.real, facts=event.facts, name=name)
                point = point.model_copy(update={"artifacts": files})
                append({"type": "judged_earlier", "point": point.model_dump(mode="json")}, durable=True)
            case engine.Trained():
                append({"type": "trained", "training": event.training.model_dump()}, durable=True)
                self.follow(event)
            case engine.Sampled():
                written = write_samples(self._folder, event.clips, event.real, stored=event.stored, facts=event.facts)
                for name, path in written.items():
                    append({"type": "artifact", "name": name, "path": path})
                append({"type": "sampled", "sampling": event.sampling.model_dump()}, durable=True)
            case engine.RolledOut():
                append({"type": "rolled_out", "rollout": event.rollout.model_dump()}, durable=True)
            case engine.Encoded():
                append({"type": "encoded", "encoding": event.encoding.model_dump()}, durable=True)
            case engine.Judged():
                append({"type": "judged", "metric": event.metric, "result": event.result.model_dump()}, durable=True)
            case engine.Profiled():
                append({"type": "profiled", "profiles": event.profiles.model_dump(mode="json")}, durable=True)
            case engine.Predicted():
                append({"type": "predicted", "prediction": event.prediction.model_dump(mode="json")}, durable=True)
            case engine.BackendsUsed():
                append({"type": "backends", "backends": event.backends})


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is on disk. Taking the interpreter and its libraries down would cost a second, which the record waits for.
    os._exit(code)
