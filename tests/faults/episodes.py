"""Run a suite whose every cell meets a fault of its own, as a user would: the same command again until it is complete."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.faults.table import CHECKPOINT_EVERY, STEPS, Strike
from vdmbench.records import CellHistory, Record, ResultsFolder
from vdmbench.runner.checkpoint import Checkpoints

UNDISTURBED = "undisturbed"
SUITE = f"""\
schema: 1
name: faults
network: {{name: unet3d, base_channels: 8, multipliers: [1]}}
data: {{source: sprites, frames: 6, size: 16}}
train: {{steps: {STEPS}, batch_size: 2, ema: 0.5, warm_up: 1}}
sample: {{sampler: ddim, steps: 2, clips: 4, batch_size: 3}}
evaluate: {{metrics: [{{name: ste-fd, bootstrap: 20, control_clips: 4}}], real_clips: 4}}
diffusion: {{steps: 8}}
run: {{device: cpu, checkpoint_every: {CHECKPOINT_EVERY}}}
variants:
  {UNDISTURBED}: {{mixer: {{name: 'struck.py:Struck'}}}}
"""
# SIGXFSZ ends a process in the middle of a write that goes over its limit of file size; Python ignores it unless told.
COMMAND = """
import pathlib, signal
if pathlib.Path("armed/supervisor-killed-in-the-middle-of-writing-a-record").exists():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
from vdmbench.cli.app import main
main()
"""


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested state dicts by its path, tensors as their bytes."""
    if isinstance(tree, dict | list | tuple):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, tree.numpy().tobytes() if hasattr(tree, "numpy") else tree


def heed_interrupts() -> None:
    """As from a terminal: what was started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Episode:
    """What became of the suite."""

    folder: Path
    exit_codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def results(self) -> ResultsFolder:
        return ResultsFolder(self.folder / "r")

    def history(self, variant: str) -> CellHistory:
        (found,) = [each for each in self.results.histories() if each.latest.variant == variant]
        return found

    def begin(self, *options: str, **pipes: int) -> subprocess.Popen[str]:
        """``vdmbench run`` as a process."""
        command = [sys.executable, "-c", COMMAND, "run", "suite.yaml", "--allow-code", "--results", "r", *options]
        return subprocess.Popen(command, cwd=self.folder, text=True, preexec_fn=heed_interrupts, **pipes)

    def run(self, *options: str) -> int:
        """``vdmbench run`` to its end, which comes within ten minutes."""
        process = self.begin(*options, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.said.append(process.communicate(timeout=600)[1])
        self.exit_codes.append(process.returncode)
        return process.returncode

    def struck_by(self, fault: Strike) -> int:
        """Pid of the worker that was struck."""
        return int((self.folder / "struck" / fault.key).read_text())

    def numbers(self, record: Record) -> dict:
        """All that must be the same whatever happened: inputs, data, losses, distances, clips, trained weights."""
        declared = json.loads(json.dumps(record.declared))
        del declared["variant"]
        declared["mixer"] = {key: declared["mixer"][key] for key in ("name", "sha256")}
        (attempt,) = [
            each for each in self.results.attempt_folders(record.identity) if each.path.name.endswith(record.attempt.id)
        ]
        with np.load(attempt.path / record.artifacts["samples"]) as arrays:
            clips = {name: array.tobytes() for name, array in arrays.items()}
        trained = Checkpoints(self.results.checkpoint_folder(record.identity)).latest()
        assert trained.step == STEPS
        weights = dict(leaves(trained.tensors))
        training = record.training.model_dump(exclude=TIMED)
        metrics = {name: result.model_dump() for name, result in record.metrics.items()}
        return {
            "declared": declared,
            "data": record.data,
            "solved": record.solved.model_dump(),
            "training": training,
            "metrics": metrics,
            "clips": clips,
            "weights": weights,
            "losses": trained.losses,
        }


TIMED = {
    **dict.fromkeys(("first_step", "measured_in", "step_seconds", "frames_per_second", "train_seconds"), True),
    "val_loss": {"train_seconds"},
}
"""Fields of a training that tell how it went, and not what came of it."""


def struck_mixer() -> str:
    """The source of the mixer, to be copied beside a suite."""
    return Path(__file__).with_name("struck.py").read_text()


def play(folder: Path, faults: Sequence[Strike], *options: str) -> Episode:
    """Run the suite until it is complete, at most twice a fault."""
    cells = [
        f"  {fault.key}: {{mixer: {{name: 'struck.py:Struck', fault: {fault.key}, deed: {json.dumps(fault.deed)}, "
        f"phase: {fault.phase}, step: {fault.step}}}}}\n"
        for fault in faults
    ]
    (folder / "suite.yaml").write_text(SUITE + "".join(cells))
    (folder / "struck.py").write_text(struck_mixer())
    (folder / "armed").mkdir()
    for fault in faults:
        (folder / "armed" / fault.key).touch()
    episode = Episode(folder)
    retry = [f"--retry={status}" for status in ("nan", "oom", "timeout")]
    while episode.run(*options, *retry) != 0:
        assert len(episode.exit_codes) < 2 * len(faults) + 2, episode.said[-1]
    return episode


def gone(pid: int, patience: float = 20.0) -> bool:
    """Whether a process has ended, or does so soon."""
    deadline = time.monotonic() + patience
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
