"""The paper's two questions as numbers: memory at the same distance, and distance at the same memory.

A variant's frontier is its undominated (memory, distance) points over the widths that were run. Between them it is
interpolated linearly in the logarithms of both; beyond its ends nothing is said. Two frontiers are compared over the range
that both span, and the whole computation is bootstrapped over seeds, so that its interval holds the interpolation too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vdmbench.report.quantities import Quantity
from vdmbench.report.statistics import bootstrap
from vdmbench.report.study import Group, Outcome, Study
from vdmbench.suite.pattern import FORMS

LEVELS = 9
"""Places in the common range at which two frontiers are compared."""


@dataclass(frozen=True)
class Point:
    """One variant at one sweep point: two quantities of the seeds that have both."""

    group: Group
    x: dict[int, float]
    y: dict[int, float]

    @property
    def means(self) -> tuple[float, float]:
        return float(np.mean(list(self.x.values()))), float(np.mean(list(self.y.values())))


@dataclass(frozen=True)
class Gap:
    """How one variant's frontier lies to another's: a ratio minus one, averaged over the range that both span."""

    relative: float
    low: float
    """95 % interval; NaN below three seeds."""
    high: float
    p: float
    n: int


def is_width(study: Study, coordinate: str) -> bool:
    """Whether a sweep coordinate changes a network's size rather than its task: it lies in the network or the mixer."""
    path = study.frame.attrs["paths"][coordinate]
    return path.split(".")[0] in ("network", *FORMS)


def widths(study: Study) -> list[str]:
    """Coordinates along which a frontier runs."""
    return [name for name in study.coordinates if is_width(study, name)]


def points_of(study: Study, groups: Sequence[Group], label: str, x: Quantity, y: Quantity) -> list[Point]:
    """A variant's points that have both quantities, by x."""
    points = []
    for group in groups:
        across, up = study.outcomes(x)[group].get(label, Outcome()), study.outcomes(y)[group].get(label, Outcome())
        seeds = sorted(set(across.values) & set(up.values))
        if seeds:
            points.append(
                Point(group, {seed: across.values[seed] for seed in seeds}, {seed: up.values[seed] for seed in seeds})
            )
    return sorted(points, key=lambda point: point.means)


def undominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (x, y), lower being better in both: whether no other is at least as good in both and better in one."""
    return [not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points) for x, y in points]


def frontier_gap(of: Sequence[Point], to: Sequence[Point]) -> Gap | None:
    """y of one variant relative to another's at equal x (both lower-is-better): -0.2 is a fifth less.

    Swap the roles of x and y in :func:`points_of` for the other question. None where either has fewer than two undominated
    points or their ranges of x do not meet.
    """
    outcomes = [values for points in (of, to) for point in points for values in (point.x, point.y)]

    def log_ratio(means: np.ndarray) -> np.ndarray:
        pairs = np.log(means).reshape(len(means), -1, 2)
        return np.array([_mean_gap(row[: len(of)], row[len(of):]) for row in pairs])

    if not of or not to:
        return None
    answer = bootstrap(outcomes, log_ratio)
    if answer is None:
        return None
    estimate, low, high, p, n = answer
    return Gap(math.expm1(estimate), math.expm1(low), math.expm1(high), p, n)


def _mean_gap(of: np.ndarray, to: np.ndarray) -> float:
    """Mean of log y_of - log y_to over the common range of log x; (points, 2) each; NaN where there is none."""
    of, to = _front(of), _front(to)
    low, high = max(of[0, 0], to[0, 0]), min(of[-1, 0], to[-1, 0])
    if len(of) < 2 or len(to) < 2 or high <= low:
        return math.nan
    at = np.linspace(low, high, LEVELS)
    return float(np.mean(np.interp(at, of[:, 0], of[:, 1]) - np.interp(at, to[:, 0], to[:, 1])))


def _front(points: np.ndarray) -> np.ndarray:
    """Undominated points, by x."""
    kept = points[np.array(undominated([(float(x), float(y)) for x, y in points]))]
    return kept[np.argsort(kept[:, 0])]


def dominating(points: Mapping[str, Sequence[Point]]) -> dict[str, str | None]:
    """For each variant: null if one of its points is on the common front, else a variant that dominates it."""
    every = [(label, point.means) for label, own in points.items() for point in own]
    on_front = undominated([means for _, means in every])
    answer: dict[str, str | None] = {}
    for label, own in points.items():
        if any(kept for (name, _), kept in zip(every, on_front, strict=True) if name == label):
            answer[label] = None
        elif own:
            x, y = min((point.means for point in own), key=lambda means: means[1])
            answer[label] = next(name for name, (a, b) in every if a <= x and b <= y and (a, b) != (x, y))
    return answer
