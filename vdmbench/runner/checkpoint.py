"""Training checkpoints: written whole, checked when read, and never the only copy.

A file is a magic word, the SHA-256 of what follows, and a ``torch.save`` that is read back with ``weights_only``. The two
latest are kept, so that one which was damaged after it was written costs the steps since the one before, and no more. A file
says what its training stands on, and one that stands on something else is refused: it is whole, and passing it over would
throw away work that whoever brings back the data, or the hardware, can go on with.
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
from pydantic import ValidationError
from torch import Tensor

from vdmbench.engine import HeldOut, Snapshot, TrainingState
from vdmbench.engine.finite import spoiled
from vdmbench.engine.initial_weights import TrainedElsewhere
from vdmbench.records import write_atomically
from vdmbench.runner.trained_on import CannotGoOn, TrainedOn
from vdmbench.runner.trained_weights import TrainedWeights, checkpoint_name
from vdmbench.suite import NUMBERS

_MAGIC = b"vdmbench-checkpoint-1\n"
_KEPT = 2
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one cell; those that are damaged, or not finite, are passed over.

    Args:
        trained_on: what files say that they stand on, and must say that are read; None reads whatever lies there.
    """

    def __init__(self, folder: Path, trained_on: TrainedOn | None = None) -> None:
        self.folder, self.trained_on = folder, trained_on

    def save(self, state: TrainingState) -> None:
        """Make ``state`` durable, then drop all but the two latest."""
        content = {**self._stands_on(), "step": state.step, "tensors": state.tensors, "losses": state.losses}
        held_out = [astuple(taken) for taken in state.held_out]
        _write(self.folder / checkpoint_name(state.step), {**content, "seconds": state.seconds, "held_out": held_out})
        for old in self._files()[:-_KEPT]:
            old.unlink(missing_ok=True)

    def latest(self) -> TrainingState | None:
        """The latest state that training can go on from; None where there is none. What is passed over is said, in a line.

        :raises CannotGoOn: it stands on something else than ``trained_on``, or is of another numbers version.
        """
        for file in reversed(self._files()):
            state = _read(file)
            if state is None:
                _log.warning("%s is damaged (%d bytes); using the checkpoint before it", file, file.stat().st_size)
                continue
            if (otherwise := self._otherwise(state)) is not None:
                raise CannotGoOn(f"training cannot go on from {file.name}: {otherwise}; {how_to_begin_anew(self.folder)}")
            if broken := spoiled(state["tensors"]):
                _log.warning("%s holds NaN or infinite values in %s; passing it over", file, broken[0])
                continue
            held_out = [HeldOut(*taken) for taken in state["held_out"]]
            return TrainingState(state["step"], state["tensors"], state["losses"], state["seconds"], held_out)
        return None

    def keep(self, snapshot: Snapshot) -> None:
        """Make weights durable that are judged once training is over."""
        content = {"tensors": snapshot.tensors, "clips": snapshot.clips, "seconds": snapshot.seconds}
        _write(self._snapshot_file(snapshot.step), {**self._stands_on(), **content})

    def snapshot(self, step: int) -> Snapshot:
        """What was kept after that many steps.

        :raises ValueError: it is not there, damaged, or stands on something else.
        """
        file = self._snapshot_file(step)
        content = _read(file) if file.exists() else None
        otherwise = "they are gone or damaged" if content is None else self._otherwise(content)
        if content is None or otherwise is not None:
            raise ValueError(
                f"{file}: the weights of step {step} cannot be used ({otherwise}): run the cell again, which makes them"
            )
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

    def _stands_on(self) -> dict[str, Any]:
        on = self.trained_on
        return {"numbers": NUMBERS} if on is None else {"numbers": NUMBERS, "trained_on": on.model_dump(mode="json")}

    def _otherwise(self, content: dict[str, Any]) -> str | None:
        """In what a file stands on something else than it should; None where it does not."""
        if (numbers := content.get("numbers", 1)) != NUMBERS:
            return f"it is of numbers version {numbers}, and this vdmbench makes version {NUMBERS}"
        if self.trained_on is None:
            return None
        try:
            return self.trained_on.unlike(TrainedOn.model_validate(content["trained_on"]))
        except (KeyError, ValidationError):
            return "it does not say what it was trained on, as those of older versions"

    def _snapshot_file(self, step: int) -> Path:
        return self.folder / f"weights-{step:09d}.ckpt"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.ckpt")) if self.folder.is_dir() else []


def how_to_begin_anew(folder: Path) -> str:
    """As the end of a message about the checkpoints in ``folder``."""
    return f"bring that back to go on, or delete {folder} and run again to begin anew"


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
        data = None if weights.train_data is None else {"train": weights.train_data}
        kept = Checkpoints(weights.checkpoint_folder, TrainedOn(cell=weights.attempt.partition("/")[0], data=data))
        try:
            state = kept.latest()
        except CannotGoOn as error:
            raise CannotGoOn(f"the weights of {weights.label} cannot be begun with: {error}") from None
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
