"""Where the weights lie with which a cell begins: in the checkpoint of the last step of the cell that trained them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vdmbench.records import Record, ResultsFolder


class WeightsGone(ValueError):
    """A trained cell whose checkpoint is not there."""


class TrainedWeights(BaseModel):
    """The trained network of another cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: str
    label: str
    attempt: str
    """That trained it, ``cell/attempt``: where cells train alike, another cell's."""
    steps: int
    averaged: bool
    """Whether averaged weights were kept; those are what was judged, and what is taken."""
    checkpoint_folder: Path
    train_data: str | None = None
    """Fingerprint of the training split that it was trained on; null where the record does not tell."""

    @classmethod
    def of(cls, record: Record, results: ResultsFolder) -> TrainedWeights:
        """Of a record that is ok.

        :raises WeightsGone: its checkpoint is not in ``results``.
        """
        assert record.training is not None, "a cell that ended well has trained"
        told = record.training.measured_in or record.attempt.id
        attempt = told if "/" in told else f"{record.identity}/{told}"
        cells = dict.fromkeys((record.identity, attempt.partition("/")[0]))
        folders = [results.checkpoint_folder(cell) for cell in cells]
        name = checkpoint_name(record.training.steps)
        folder = next((folder for folder in folders if (folder / name).exists()), None)
        if folder is None:
            raise WeightsGone(
                f"the trained weights of {record.label} ({record.identity}) are not in {folders[-1]}, for merged results hold "
                "none: run this cell where that one was trained, or copy that folder from there"
            )
        return cls(
            cell=record.identity,
            label=record.label,
            attempt=attempt,
            steps=record.training.steps,
            averaged=record.declared["train"]["ema"] is not None,
            checkpoint_folder=folder.resolve(),
            train_data=record.data.get("train"),
        )


def checkpoint_name(step: int) -> str:
    """File of the state after so many steps."""
    return f"step-{step:09d}.ckpt"
