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
        return np.array([_mean_gap(row[: len(of)], row[len(of) :]) for row in pairs])

    if not of or not to or not _have_logarithms(outcomes):
        return None
    answer = bootstrap(outcomes, log_ratio)
    if answer is None:
        return None
    estimate, low, high, p, n = answer
    return Gap(math.expm1(estimate), math.expm1(low), math.expm1(high), p, n)


@dataclass(frozen=True)
class Reading:
    """What one variant's frontier says at one place, interpolated."""

    value: float
    low: float
    """95 % interval; NaN below three seeds."""
    high: float
    n: int


def common_level(points: Mapping[str, Sequence[Point]]) -> float | None:
    """The geometric middle of the range of x that all frontiers of two or more widths span; None where there is none."""
    several = [[point.means for point in own] for own in points.values() if len(own) > 1]
    fronts = [_front(np.log(means)) for means in several if np.min(means) > 0]
    fronts = [front for front in fronts if len(front) > 1]
    if not fronts:
        return None
    low, high = max(front[0, 0] for front in fronts), min(front[-1, 0] for front in fronts)
    return float(math.exp((low + high) / 2)) if low < high else None


def read_at(points: Sequence[Point], level: float) -> Reading | None:
    """y of a frontier at x = ``level``; None beyond its ends."""
    at = math.log(level) if level > 0 else math.nan

    def log_value(means: np.ndarray) -> np.ndarray:
        return np.array([_interpolated(_front(row), at) for row in np.log(means).reshape(len(means), -1, 2)])

    outcomes = [values for point in points for values in (point.x, point.y)]
    answer = bootstrap(outcomes, log_value) if points and level > 0 and _have_logarithms(outcomes) else None
    if answer is None:
        return None
    estimate, low, high, _, n = answer
    return Reading(math.exp(estimate), math.exp(low), math.exp(high), n)


def _have_logarithms(outcomes: Sequence[Mapping[int, float]]) -> bool:
    return all(value > 0 for outcome in outcomes for value in outcome.values())


def _interpolated(front: np.ndarray, at: float) -> float:
    inside = len(front) > 1 and front[0, 0] <= at <= front[-1, 0]
    return float(np.interp(at, front[:, 0], front[:, 1])) if inside else math.nan


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
