"""The child process that runs one attempt: ``python -m vdmbench.runner.worker ATTEMPT_FOLDER``.

It turns the engine's events into lines of ``events.jsonl`` and files beside them. Its standard input is a lifeline: when
the parent is gone, however it went, the pipe closes and the worker ends too, so that no orphan holds a GPU.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from vdmbench.records import EventLog
from vdmbench.runner.preemption import LastCheckpoint
from vdmbench.runner.task import Task

if TYPE_CHECKING:
    from vdmbench import engine
    from vdmbench.runner.checkpoint import Checkpoints


def _end_with_parent() -> None:
    def watch() -> None:
        while os.read(0, 1):
            continue
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def main(folder: Path) -> int:
    """Run the task in ``folder`` and leave an outcome event, whatever happens short of a kill."""
    _end_with_parent()
    log = EventLog(folder / "events.jsonl")
    task = Task.read(folder)
    from vdmbench.engine import NonFiniteLoss, Stopped, is_out_of_memory

    outcome: dict[str, Any]
    try:
        _run(task, folder, log)
        outcome = {"status": "ok"}
    except NonFiniteLoss as error:
        outcome = {"status": "nan", "message": str(error)}
    except Stopped as stopped:
        outcome = {"status": "interrupted", "message": str(stopped)}
    except Exception as error:
        traceback.print_exc()
        kind = "oom" if is_out_of_memory(error) else "error"
        outcome = {"status": kind, "message": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
    log.append({"type": "outcome", **outcome}, durable=True)
    return 0


def _run(task: Task, folder: Path, log: EventLog) -> None:
    import torch

    from vdmbench import engine
    from vdmbench.matching import resolve
    from vdmbench.measure import capture, hardware_cohort
    from vdmbench.runner.checkpoint import Checkpoints
    from vdmbench.runner.memory_limit import enforce
    from vdmbench.runner.memory_snapshot import SNAPSHOT, memory_history

    if task.run.threads is not None:
        torch.set_num_threads(task.run.threads)
    # Where an op has no deterministic form the run still goes on: its warning stands in stderr.log.
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = engine.pick_device(task.run.device)
    environment = capture()
    if task.run.memory_limit is not None:
        enforce(task.run.memory_limit, str(device))
        environment["memory_limit_bytes"] = task.run.memory_limit
    log.append(
        {
            "type": "environment",
            "environment": environment,
            "cohort": hardware_cohort(environment, str(device)),
            "baseline_rss_bytes": psutil.Process().memory_info().rss,
        }
    )
    resolved = resolve(task.inputs, task.solved.knobs)
    cell = engine.prepare(resolved.inputs, resolved.network, resolved.mixer, device)
    for split, fingerprint in cell.fingerprints().items():
        log.append({"type": "data", "split": split, "fingerprint": fingerprint})
    checkpoints = Checkpoints(task.checkpoint_folder)
    resumed = checkpoints.latest()
    if resumed is not None:
        log.append({"type": "resumed", "step": resumed.step})
    history = memory_history(folder / SNAPSHOT) if task.run.memory_snapshot and device.type == "cuda" else nullcontext()
    last_checkpoint = LastCheckpoint()
    with history:
        engine.run_cell(
            cell,
            _Scribe(task, folder, log, checkpoints, last_checkpoint),
            resume=resumed,
            checkpoint_every=task.run.checkpoint_every,
            reference_cache=task.reference_cache,
            stop=last_checkpoint.asked,
        )


class _Scribe:
    """Hears the engine's events, and writes each where it belongs."""

    def __init__(
        self, task: Task, folder: Path, log: EventLog, checkpoints: Checkpoints, last_checkpoint: LastCheckpoint
    ) -> None:
        self._task, self._folder, self._log, self._checkpoints = task, folder, log, checkpoints
        self._last_checkpoint = last_checkpoint

    def __call__(self, event: engine.EngineEvent) -> None:
        from vdmbench import engine
        from vdmbench.runner.artifacts import write_samples

        append = self._log.append
        match event:
            case engine.PhaseStarted():
                append({"type": "phase_started", "phase": event.phase})
                if event.phase == "train":
                    self._last_checkpoint.training_began()
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
            case engine.CheckpointDue():
                self._checkpoints.save(event.state)
                append({"type": "checkpoint", "step": event.state.step}, durable=True)
            case engine.Trained():
                append({"type": "trained", "training": event.training.model_dump()}, durable=True)
                self._last_checkpoint.training_ended()
            case engine.Sampled():
                for name, path in write_samples(self._folder, event.clips, event.real).items():
                    append({"type": "artifact", "name": name, "path": path})
                append({"type": "sampled", "sampling": event.sampling.model_dump()}, durable=True)
            case engine.Judged():
                append({"type": "judged", "metric": event.metric, "result": event.result.model_dump()}, durable=True)
            case engine.BackendsUsed():
                append({"type": "backends", "backends": event.backends})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
