"""What stood before a cell's first step that was not declared as a number: a tuned choice, and weights of another cell."""

from __future__ import annotations

from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from vdmbench.records.recorded import Recorded


class Trial(Recorded):
    """One trial of a tuning, as it had ended when the choice was made."""

    identity: str
    """Of the trial's own cell, which has a record of its own."""
    value: Any
    """Of the tuned field."""
    seed: int
    status: str
    score: float | None = None
    """Of the quantity that chooses; null where the trial has none, which counts as the worst."""


class Tuned(Recorded):
    """Which value of a tuned field a cell was given, and why."""

    field: str
    """Path of the field."""
    by: str
    """The quantity that chose."""
    chosen: Any = None
    """Null where no value has a trial that ended well."""
    edge: Literal["smallest", "largest"] | None = None
    """Where the chosen number is an end of the grid, beyond which the best may lie."""
    trials: list[Trial]
    """In the order of the grid, then of the seeds."""

    def means(self) -> dict[str, float | None]:
        """The mean score of each value, as text, in the order of the grid; null where one of its trials has none."""
        scores: dict[str, list[float | None]] = {}
        for trial in self.trials:
            scores.setdefault(str(trial.value), []).append(trial.score)
        return {
            value: None if None in each else fmean(score for score in each if score is not None)
            for value, each in scores.items()
        }


class Initialised(Recorded):
    """Weights that a cell began with, which another cell had trained."""

    cell: str
    """Identity of the cell that trained them."""
    label: str
    attempt: str
    weights: Literal["averaged", "raw"]
    """As that cell was sampled and judged: its averaged weights, or the raw ones where it keeps no average."""
    matched_tensors: int
    """Parameters and buffers of this cell that were taken over: path and shape agree."""
    matched_parameters: int
    """Numbers in those that are parameters."""
    parameters: int
    """Numbers in all parameters of this cell."""
    initialised: list[str] = Field(default_factory=list)
    """Paths that had no match, and were drawn as in a cell that begins with nothing."""
    left: list[str] = Field(default_factory=list)
    """Paths of the other cell that have no place here."""
