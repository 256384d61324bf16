"""How a quantity grows with clip length: a fitted exponent, and the length from which one variant is below another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from vdmbench.report.quantities import Quantity
from vdmbench.report.statistics import bootstrap
from vdmbench.report.study import Group, Study


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over seeds (NaN below three)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Crossover:
    """Where two curves change order, or which lies below over all lengths that both have."""

    frames: Estimate | None
    """Null where they do not cross."""
    below_before: bool
    """Whether the variant lies below the reference at the shortest common length."""
    lengths: tuple[float, float]
    """Shortest and longest length that both have."""


def _by_length(study: Study, quantity: Quantity, groups: Sequence[Group], label: str) -> dict[float, dict[int, float]]:
    return {
        float(group["frames"]): outcome.values
        for group in groups
        if (outcome := study.outcomes(quantity)[group].get(label)) is not None and _all_positive(outcome.values.values())
    }


def _all_positive(values: Collection[float]) -> bool:
    """Whether a length can stand on a curve of logarithms."""
    return bool(values) and min(values) > 0


def exponent(study: Study, quantity: Quantity, groups: Sequence[Group], label: str) -> Estimate | None:
    """Slope of log value over log frames, least squares; None with fewer than two lengths."""
    values = _by_length(study, quantity, groups, label)
    if len(values) < 2:
        return None
    x = np.log(list(values))
    centred = x - x.mean()

    def slope(means: np.ndarray) -> np.ndarray:
        return np.log(means) @ centred / (centred @ centred)

    answer = bootstrap(list(values.values()), slope)
    return None if answer is None else Estimate(answer[0], answer[1], answer[2], answer[4])


def crossover(study: Study, quantity: Quantity, groups: Sequence[Group], label: str, reference: str) -> Crossover | None:
    """Interpolated linearly in logarithms; the first change of order counts. None with fewer than two common lengths."""
    own, other = (_by_length(study, quantity, groups, name) for name in (label, reference))
    lengths = sorted(set(own) & set(other))
    if len(lengths) < 2:
        return None
    x = np.log(lengths)

    def first_crossing(means: np.ndarray) -> np.ndarray:
        gap = np.log(means[:, : len(x)]) - np.log(means[:, len(x) :])
        before, after = gap[:, :-1], gap[:, 1:]
        crosses = before * after < 0
        first = crosses.argmax(axis=1)
        rows = np.arange(len(gap))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = before[rows, first] / (before - after)[rows, first]
        return np.where(crosses.any(axis=1), x[first] + (x[first + 1] - x[first]) * share, np.nan)

    answer = bootstrap([own[length] for length in lengths] + [other[length] for length in lengths], first_crossing)
    below = float(np.mean(list(own[lengths[0]].values()))) < float(np.mean(list(other[lengths[0]].values())))
    if answer is None:
        return Crossover(None, below, (lengths[0], lengths[-1]))
    at, low, high = (float(np.exp(value)) for value in answer[:3])
    return Crossover(Estimate(at, low, high, answer[4]), below, (lengths[0], lengths[-1]))
