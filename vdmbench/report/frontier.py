"""The paper's two questions as numbers: memory at the same distance, and distance at the same memory.

A variant's frontier is its undominated (memory, distance) points over the widths that were run. Between them it is interpolated
linearly, in logarithms for what is compared by ratios; beyond its ends nothing is said. Two frontiers are compared over the
range that both span, in each seed by itself, so that the scatter over seeds holds the interpolation too. From fewer than three
seeds nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vdmbench.quantities import ALONG_TRAINING, Quantity
from vdmbench.report.along_training import read_along
from vdmbench.report.statistics import MINIMUM_SEEDS, OverSeeds, seed_by_seed
from vdmbench.report.study import Group, Outcome, Study
from vdmbench.suite.widths import is_width

LEVELS = 9
"""Places in the common range at which two frontiers are compared."""


@dataclass(frozen=True)
class Point:
    """One variant at one sweep point: two quantities of the seeds that have both."""

    group: Group
    across: Quantity
    up: Quantity
    x: dict[int, float]
    """``across`` by seed."""
    y: dict[int, float]
    """``up`` by seed."""

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def means(self) -> tuple[float, float]:
        return float(np.mean(list(self.x.values()))), float(np.mean(list(self.y.values())))

    @property
    def oriented(self) -> tuple[float, float]:
        """The means, turned round where more is better: less is better in both."""
        x, y = self.means
        return self.across.sign * x, self.up.sign * y


def _coordinate(quantity: Quantity, values: np.ndarray | float) -> np.ndarray:
    """What is interpolated, less being better: logarithms of what is compared by ratios (NaN for 0), turned round where more is
    better."""
    values = np.asarray(values, dtype=float)
    if not quantity.signed:
        values = np.log(np.where(values > 0, values, np.nan))
    return values * quantity.sign


def _value(quantity: Quantity, coordinate: float) -> float:
    """Back from :func:`_coordinate`."""
    turned = coordinate * quantity.sign
    return turned if quantity.signed else math.exp(turned)


def widths(study: Study) -> list[str]:
    """Coordinates along which a frontier runs."""
    return [name for name in study.coordinates if is_width(study.frame.attrs["paths"][name])]


def points_of(study: Study, groups: Sequence[Group], label: str, x: Quantity, y: Quantity) -> list[Point]:
    """A variant's points that have both quantities, by x: a point a size; or, of what networks have learned against what
    training spent, a point at each place of training that was judged."""
    if x.name in ALONG_TRAINING and y.learned:
        along = [Point(group, x, y, xs, ys) for group, xs, ys in read_along(study, groups, label, x, y)]
        return sorted(along, key=lambda point: point.means)
    points = []
    for group in groups:
        across, up = study.outcomes(x)[group].get(label, Outcome()), study.outcomes(y)[group].get(label, Outcome())
        seeds = sorted(set(across.values) & set(up.values))
        if seeds:
            points.append(
                Point(group, x, y, {seed: across.values[seed] for seed in seeds}, {seed: up.values[seed] for seed in seeds})
            )
    return sorted(points, key=lambda point: point.means)


def enough_seeds(points: Sequence[Point]) -> list[Point]:
    """Those that something may be said of."""
    return [point for point in points if point.n >= MINIMUM_SEEDS]


def undominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (x, y), lower being better in both: whether no other is at least as good in both and better in one."""
    return [not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points) for x, y in points]


def frontier_gap(of: Sequence[Point], to: Sequence[Point]) -> OverSeeds | None:
    """How one variant's frontier lies to another's at equal x: y of the one as a share of the other's, minus one (-0.2 is a
    fifth less), or their difference where y is compared by differences; averaged over the range of x that both span, one
    number a seed.

    Swap the roles of x and y in :func:`points_of` for the other question. None where either has fewer than two undominated
    points or their ranges of x do not meet, and below three seeds that have all points.
    """
    if not of or not to:
        return None
    up = to[0].up

    def gaps(values: np.ndarray) -> np.ndarray:
        fronts = _coordinates([*of, *to], values)
        found = up.sign * np.array([_mean_gap(row[: len(of)], row[len(of) :]) for row in fronts])
        return found if up.signed else np.expm1(found)

    answer = seed_by_seed(_outcomes([*of, *to]), gaps)
    return answer if answer is not None and answer.defined else None


def common_level(points: Mapping[str, Sequence[Point]]) -> float | None:
    """The middle of the range of x that all frontiers of two or more widths span; None where there is none."""
    every = [enough_seeds(own) for own in points.values()]
    fronts = [_front(_coordinates(own, np.array([[*point.means] for point in own]).reshape(1, -1))[0]) for own in every if own]
    # A variant may be of one size at every budget.
    fronts = [front for front in fronts if len(front) and front[0, 0] < front[-1, 0]]
    if not fronts:
        return None
    low, high = max(front[0, 0] for front in fronts), min(front[-1, 0] for front in fronts)
    across = next(own[0].across for own in every if own)
    return _value(across, (low + high) / 2) if low < high else None


def read_at(points: Sequence[Point], level: float) -> OverSeeds | None:
    """y of a frontier at x = ``level``, one number a seed; None beyond its ends, and below three seeds that have all points."""
    if not points:
        return None
    across, up = points[0].across, points[0].up
    at = float(_coordinate(across, level))

    def read(values: np.ndarray) -> np.ndarray:
        found = [_interpolated(_front(row), at) for row in _coordinates(points, values)]
        return np.array([value if math.isnan(value) else _value(up, value) for value in found])

    answer = seed_by_seed(_outcomes(points), read)
    return answer if answer is not None and answer.defined else None


def _outcomes(points: Sequence[Point]) -> list[dict[int, float]]:
    return [values for point in points for values in (point.x, point.y)]


def _coordinates(points: Sequence[Point], values: np.ndarray) -> np.ndarray:
    """Values (seeds, 2 * points) of :func:`_outcomes` as coordinates (seeds, points, 2)."""
    across, up = points[0].across, points[0].up
    pairs = values.reshape(len(values), len(points), 2)
    return np.stack([_coordinate(across, pairs[..., 0]), _coordinate(up, pairs[..., 1])], axis=-1)


def _interpolated(front: np.ndarray, at: float) -> float:
    inside = len(front) > 1 and front[0, 0] < front[-1, 0] and front[0, 0] <= at <= front[-1, 0]
    return float(np.interp(at, front[:, 0], front[:, 1])) if inside else math.nan


def _mean_gap(of: np.ndarray, to: np.ndarray) -> float:
    """Mean of y_of - y_to over the common range of x; coordinates (points, 2) each; NaN where there is none."""
    of, to = _front(of), _front(to)
    if len(of) < 2 or len(to) < 2:
        return math.nan
    low, high = max(of[0, 0], to[0, 0]), min(of[-1, 0], to[-1, 0])
    if high <= low:
        return math.nan
    at = np.linspace(low, high, LEVELS)
    return float(np.mean(np.interp(at, of[:, 0], of[:, 1]) - np.interp(at, to[:, 0], to[:, 1])))


def _front(points: np.ndarray) -> np.ndarray:
    """Undominated points, by x; coordinates (points, 2), those without a number left out."""
    points = points[~np.isnan(points).any(axis=1)]
    kept = points[np.array(undominated([(float(x), float(y)) for x, y in points]), dtype=bool)]
    return kept[np.argsort(kept[:, 0])]


def dominating(points: Mapping[str, Sequence[Point]]) -> dict[str, str | None]:
    """For each variant: null if the means of one of its points are on the common front, else a variant that dominates it.

    Points of fewer than three seeds neither dominate nor are dominated; a variant that has no other is left out.
    """
    every = [(label, point.oriented) for label, own in points.items() for point in enough_seeds(own)]
    on_front = undominated([oriented for _, oriented in every])
    answer: dict[str, str | None] = {}
    for label in dict.fromkeys(name for name, _ in every):
        if any(kept for (name, _), kept in zip(every, on_front, strict=True) if name == label):
            answer[label] = None
        else:
            x, y = min((oriented for name, oriented in every if name == label), key=lambda oriented: oriented[1])
            answer[label] = next(name for name, (a, b) in every if a <= x and b <= y and (a, b) != (x, y))
    return answer
