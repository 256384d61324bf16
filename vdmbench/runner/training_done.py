"""A cell whose training an earlier attempt had finished: what was measured while it went on is that attempt's.

Killed while it samples, a cell goes on from its last checkpoint, and its second attempt trains nothing. The peak of no step is
the weights alone, which is no training's memory; so the reading of the attempt that trained stands in its place, or none.
"""

from __future__ import annotations

from collections.abc import Iterator

from vdmbench.records import PhaseReading, Record, ResultsFolder, read_events
from vdmbench.runner.fold import fold


def with_measured_training(record: Record, results: ResultsFolder, trained_alike: Record | None = None) -> Record:
    """``record`` with the train phase of the attempt that trained its network, on the same hardware; unchanged where it trained
    itself. Where none is known, memory of the phase is null.

    :param trained_alike: of another cell, which trained the same network.
    """
    training, phase = record.training, record.phases.get("train")
    if training is None or phase is None or training.first_step < training.steps:
        return record
    for earlier in [*_attempts_before(record, results), *([] if trained_alike is None else [trained_alike])]:
        measured = earlier.training
        if (
            measured is None
            or "train" not in earlier.phases
            or earlier.cohort != record.cohort
            or (measured.first_step >= measured.steps and measured.measured_in is None)
        ):
            continue
        own = measured.model_copy(
            update={"first_step": training.first_step, "measured_in": measured.measured_in or _name(earlier, record)}
        )
        phases = {**record.phases, "train": earlier.phases["train"]}
        return record.model_copy(update={"training": own, "phases": phases, "backends": earlier.backends or record.backends})
    return record.model_copy(update={"phases": {**record.phases, "train": PhaseReading(seconds=phase.seconds)}})


def _name(earlier: Record, record: Record) -> str:
    """An attempt's, and before it its cell's where that is another."""
    own = earlier.identity == record.identity
    return earlier.attempt.id if own else f"{earlier.identity}/{earlier.attempt.id}"


def _attempts_before(record: Record, results: ResultsFolder) -> Iterator[Record]:
    """The cell's other attempts, latest first; of one whose supervisor died, what its events tell."""
    history = results.history(record.identity)
    for earlier in reversed(history.attempts if history is not None else []):
        if earlier.attempt.id == record.attempt.id:
            continue
        if earlier.training is None:
            earlier = fold(earlier, read_events(results.folder_of(earlier).events), exit=None, device_memory=None)
        yield earlier
