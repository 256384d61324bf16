"""Training checkpoints: written whole, checked when read, and never the only copy.

A file is a magic word, the SHA-256 of what follows, and a ``torch.save`` that is read back with ``weights_only``. The two
latest are kept, so that one which was damaged after it was written costs the steps since the one before, and no more.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vdmbench.engine import HeldOut, Snapshot, TrainingState
from vdmbench.engine.finite import spoiled
from vdmbench.engine.initial_weights import TrainedElsewhere
from vdmbench.records import write_atomically
from vdmbench.runner.trained_weights import TrainedWeights, checkpoint_name
from vdmbench.suite import NUMBERS

_MAGIC = b"vdmbench-checkpoint-1\n"
_KEPT = 2
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one cell: of this numbers version, undamaged and finite, or they are passed over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: TrainingState) -> None:
        """Make ``state`` durable, then drop all but the two latest."""
        content = {"numbers": NUMBERS, "step": state.step, "tensors": state.tensors, "losses": state.losses}
        held_out = [astuple(taken) for taken in state.held_out]
        _write(self.folder / checkpoint_name(state.step), {**content, "seconds": state.seconds, "held_out": held_out})
        for old in self._files()[:-_KEPT]:
            old.unlink(missing_ok=True)

    def latest(self) -> TrainingState | None:
        """The latest state that training can go on from; None where there is none. What is passed over is said, in a line."""
        for file in reversed(self._files()):
            state = _read(file)
            if state is None:
                _log.warning("%s is damaged (%d bytes); using the checkpoint before it", file, file.stat().st_size)
                continue
            if (numbers := state.get("numbers", 1)) != NUMBERS:
                _log.warning("%s is of numbers version %s, this is version %d; passing it over", file, numbers, NUMBERS)
                continue
            if broken := spoiled(state["tensors"]):
                _log.warning("%s holds NaN or infinite values in %s; passing it over", file, broken[0])
                continue
            held_out = [HeldOut(*taken) for taken in state["held_out"]]
            return TrainingState(state["step"], state["tensors"], state["losses"], state["seconds"], held_out)
        return None

    def keep(self, snapshot: Snapshot) -> None:
        """Make weights durable that are judged once training is over."""
        content = {"numbers": NUMBERS, "tensors": snapshot.tensors, "clips": snapshot.clips, "seconds": snapshot.seconds}
        _write(self._snapshot_file(snapshot.step), content)

    def snapshot(self, step: int) -> Snapshot:
        """What was kept after that many steps.

        :raises ValueError: it is not there, damaged, or of another numbers version.
        """
        file = self._snapshot_file(step)
        content = _read(file) if file.exists() else None
        if content is None or content.get("numbers") != NUMBERS:
            raise ValueError(f"{file}: the weights of step {step} are gone or damaged: run the cell again, which makes them")
        return Snapshot(step, content["clips"], content["seconds"], content["tensors"])

    def hold(self, steps: Sequence[int]) -> bool:
        """Whether all snapshots of these steps can be read; of one that cannot be, a line says so."""
        for step in steps:
            try:
                self.snapshot(step)
            except ValueError as error:
                _log.warning("%s", error)
                return False
        return True

    def _snapshot_file(self, step: int) -> Path:
        return self.folder / f"weights-{step:09d}.ckpt"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.ckpt")) if self.folder.is_dir() else []


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)  # not its parents: where they are gone, the results were moved while the cell ran
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    write_atomically(file, _MAGIC + hashlib.sha256(payload).digest() + payload)


def _read(file: Path) -> dict[str, Any] | None:
    """None where the file is damaged."""
    content = file.read_bytes()
    header, payload = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    if header != _MAGIC + hashlib.sha256(payload).digest():
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(payload), weights_only=True)
    return state


def trained_elsewhere(weights: TrainedWeights) -> TrainedElsewhere:
    """What the engine takes over of another cell's network: the averaged weights, which are judged, where there are some.

    :raises ValueError: the checkpoint of the last step is damaged, or cannot be seen from here.
    """

    def read() -> dict[str, Tensor]:
        state = Checkpoints(weights.checkpoint_folder).latest()
        if state is None or state.step != weights.steps:
            raise ValueError(
                f"the weights of {weights.label} after {weights.steps} steps cannot be read from {weights.checkpoint_folder}: "
                "on another machine share the results folder; where the file is damaged, train that cell again"
            )
        averaged = state.tensors["average"]
        if averaged is None:
            return dict(state.tensors["network"])
        return {path.removeprefix(_AVERAGED): tensor for path, tensor in averaged.items() if path.startswith(_AVERAGED)}

    kind: Literal["averaged", "raw"] = "averaged" if weights.averaged else "raw"
    return TrainedElsewhere(weights.cell, weights.label, weights.attempt, kind, read)


_AVERAGED = "module."
"""Before the paths of a network inside PyTorch's AveragedModel."""
