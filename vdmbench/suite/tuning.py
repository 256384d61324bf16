"""A field that is chosen by short trials: the same grid, the same steps and the same seeds for every variant and sweep point.

A final cell declares the grid, and not what was chosen from it. Its trials follow from its own declaration: the cell with each
value in place, each seed of the tuning, and fewer steps.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, field_validator

from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Seed

_STEPS = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*$")


def _parse_steps(value: Any) -> Any:
    if isinstance(value, str):
        found = _STEPS.match(value)
        if found is None or (not found[2] and "." in found[1]):
            raise ValueError(f"'{value}' is no number of steps; write a share such as 20%, or a count such as 400")
        value = float(Decimal(found[1]) / 100) if found[2] else int(found[1])
    if isinstance(value, float) and not 0 < value <= 1:
        raise ValueError(f"a trial takes more than 0 % and at most 100 % of the declared steps, got {value:.0%}")
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a trial takes at least 1 step, got {value}")
    return value


Steps = Annotated[
    int | float,
    BeforeValidator(_parse_steps),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 1_000_000_000},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": _STEPS.pattern},
            ]
        }
    ),
]
"""Optimiser steps: a share of those declared (``20%``, ``0.2``), or a count."""


class Tune(Declared):
    """A field that every variant, at every sweep point, chooses for itself from one grid."""

    field: str
    """The field that is chosen, by its path, such as train.learning_rate; variants that lack it are not tuned."""
    values: list[Any]
    """The grid, the same for all."""
    by: str
    """The quantity that chooses, such as val_loss or final_loss: the value with the best mean over the seeds is taken."""
    steps: Steps
    """Optimiser steps of a trial: a share of train.steps, such as 20%, or a count."""
    seeds: list[Seed]
    """Seeds of the trials, which the suite uses for nothing else."""

    @field_validator("values")
    @classmethod
    def _leave_a_choice(cls, values: list[Any]) -> list[Any]:
        if len(values) < 2:
            given = "one value leaves" if values else "no values leave"
            raise ValueError(f"{given} nothing to choose: give two or more, or set the field and leave 'tune' out")
        if len({repr(value) for value in values}) < len(values):
            raise ValueError("a value is given twice")
        return values

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if not seeds:
            raise ValueError("no seeds leave no trial to choose by: give one or more, such as 100")
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        return seeds

    def steps_of(self, declared: int) -> int:
        """Steps of a trial of a cell that declares so many."""
        return max(1, round(self.steps * declared)) if isinstance(self.steps, float) else self.steps
