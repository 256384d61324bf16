"""One training for all cells that train alike: a sweep over samplers, lengths or metrics trains each network once.

What decides a network is declared for the cell: all but how clips are sampled and judged, and what the solver made of it. The
first of such cells that trains leaves a note in the results folder; the others, on the same hardware and the same data, begin
where it ended, and their records name it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import vdmbench
from vdmbench.records import Record, ResultsFolder, Solved, write_atomically
from vdmbench.runner.trained_weights import TrainedWeights
from vdmbench.suite import CellInputs

_OF_CLIPS = ("sample", "evaluate", "match", "reference")
"""Blocks that decide nothing of a trained network; of a match what the solver answered does."""
_BEFORE = ("init_from", "tune")
"""Blocks of what was done before; the value that was chosen stands in its field, and weights are named by who trained them."""


_ALONG_TRAINING = ("val_loss", "at")
"""Fields of how clips are judged that say what is taken while a network trains, and kept with it; and how many clips are."""


class TrainedNetwork(BaseModel):
    """Where a network lies that another cell has trained, and of what it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: str
    label: str
    attempt: str
    checkpoint_folder: Path
    cohort: str
    train_data: str
    """Fingerprint of the training split."""


def training_key(inputs: CellInputs, solved: Solved, weights: TrainedWeights | None = None) -> str:
    """Equal for cells whose networks this version trains alike, from the same ``weights`` where they begin with some."""
    tree = inputs.model_dump(mode="json")
    declared = {name: block for name, block in tree.items() if name not in (*_OF_CLIPS, *_BEFORE)}
    along = {name: tree["evaluate"].get(name) for name in _ALONG_TRAINING} | {"clips": inputs.evaluate.held_out_clips}
    begun = [] if weights is None else [weights.attempt]
    canonical = json.dumps([vdmbench.__version__, declared, solved.knobs, along, *begun], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


def note_trained(results: ResultsFolder, key: str, record: Record) -> None:
    """Leave word of a network that this record's attempt has trained to its end, the first time one does."""
    note, training = _note(results, key), record.training
    if training is None or training.first_step >= training.steps or note.exists():
        return
    note.parent.mkdir(exist_ok=True)
    write_atomically(note, json.dumps({"cell": record.identity, "attempt": record.attempt.id}).encode())


def find_trained(results: ResultsFolder, key: str, *, but: str) -> tuple[TrainedNetwork, Record] | None:
    """The network of another cell than ``but``, and the record that trained it; None where there is none any more."""
    try:
        told = json.loads(_note(results, key).read_bytes())
        history = results.history(told["cell"]) if told["cell"] != but else None
        record = next(each for each in history.attempts if each.attempt.id == told["attempt"]) if history else None
        if record is None or record.cohort is None:
            return None
        network = TrainedNetwork(
            cell=record.identity,
            label=record.label,
            attempt=record.attempt.id,
            checkpoint_folder=results.checkpoint_folder(record.identity),
            cohort=record.cohort,
            train_data=record.data["train"],
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration, ValidationError):
        return None  # no note, or one whose cell was taken away: what is gone is trained again
    return network, record


def _note(results: ResultsFolder, key: str) -> Path:
    return results.path / "trained" / f"{key}.json"
