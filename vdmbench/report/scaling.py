"""How a quantity grows with clip length: a fitted exponent, and the length from which one variant is below another.

Both are computed in each seed by itself, from at least three seeds and three lengths: through two points goes a line, whatever
they are. Logarithms are fitted, so that only what is compared by ratios has an exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vdmbench.quantities import Quantity
from vdmbench.report.statistics import MINIMUM_SEEDS, OverSeeds, seed_by_seed
from vdmbench.report.study import Group, Study

MINIMUM_LENGTHS = 3


@dataclass(frozen=True)
class Growth:
    """The exponent of one variant."""

    slopes: OverSeeds
    lengths: tuple[float, ...]
    """That it was fitted over."""


@dataclass(frozen=True)
class Crossover:
    """Where two curves change order, or which lies below over all lengths that both have."""

    frames: OverSeeds | None
    """Null where they cross in no seed."""
    below_before: bool
    """Whether the variant lies below the reference at the shortest common length, in most seeds."""
    agree: int
    """Seeds that say the same: cross, beginning on that side; or do not cross and lie on that side."""
    n: int
    lengths: tuple[float, ...]
    """That both have."""


def _by_length(study: Study, quantity: Quantity, groups: Sequence[Group], label: str) -> dict[float, dict[int, float]]:
    """Values by length and seed, at lengths where enough seeds ended well."""
    found = {
        float(group["frames"]): outcome.values
        for group in groups
        if (outcome := study.outcomes(quantity)[group].get(label)) is not None and outcome.n >= MINIMUM_SEEDS
    }
    return {length: found[length] for length in sorted(found)}


def exponent(study: Study, quantity: Quantity, groups: Sequence[Group], label: str) -> Growth | None:
    """Slope of log value over log frames, least squares; None with fewer than three lengths, or seeds that have them all."""
    values = _by_length(study, quantity, groups, label)
    if len(values) < MINIMUM_LENGTHS or quantity.signed:
        return None
    x = np.log(list(values))
    centred = x - x.mean()

    def slopes(table: np.ndarray) -> np.ndarray:
        return _log(table) @ centred / (centred @ centred)

    answer = seed_by_seed(list(values.values()), slopes)
    return None if answer is None or not answer.defined else Growth(answer, tuple(values))


def crossover(study: Study, quantity: Quantity, groups: Sequence[Group], label: str, reference: str) -> Crossover | None:
    """Interpolated linearly in logarithms; the first change of order counts. None with fewer than three common lengths, or
    seeds that have them all on both sides."""
    own, other = (_by_length(study, quantity, groups, name) for name in (label, reference))
    lengths = sorted(set(own) & set(other))
    if len(lengths) < MINIMUM_LENGTHS or quantity.signed:
        return None
    x = np.log(lengths)
    outcomes = [own[length] for length in lengths] + [other[length] for length in lengths]

    def gaps(table: np.ndarray) -> np.ndarray:
        logs = _log(table)
        return logs[:, : len(x)] - logs[:, len(x) :]

    def first_crossing(table: np.ndarray) -> np.ndarray:
        gap = gaps(table)
        before, after = gap[:, :-1], gap[:, 1:]
        crosses = before * after < 0
        first, rows = crosses.argmax(axis=1), np.arange(len(gap))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = before[rows, first] / (before - after)[rows, first]
        log_frames = np.where(crosses.any(axis=1), x[first] + (x[first + 1] - x[first]) * share, np.nan)
        return np.exp(log_frames)

    at = seed_by_seed(outcomes, first_crossing)
    first = seed_by_seed(outcomes, lambda table: gaps(table)[:, 0])
    if at is None or first is None:
        return None
    below = first.below(0) > first.above(0)
    crossing = 2 * at.defined > at.n
    agree = sum((gap < 0) == below and (place == place) == crossing for gap, place in zip(first.values, at.values, strict=True))
    return Crossover(at if crossing else None, below, agree, at.n, tuple(lengths))


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values > 0, values, np.nan))
