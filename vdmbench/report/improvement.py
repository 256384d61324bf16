"""Several data sets at once: how often one variant beats another, and how much of its results are how good.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021): probability of
improvement (section 4.3) and performance profiles (section 4.2), with stratified bootstrap over seeds within a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vdmbench.report.quantities import Quantity
from vdmbench.report.study import Group, Outcome, Study

RESAMPLES = 2000


@dataclass(frozen=True)
class Improvement:
    """P(variant better than reference), mean over data sets, ties counting a half."""

    probability: float
    low: float
    """95 % stratified bootstrap interval; NaN where a data set has fewer than three seeds of either."""
    high: float
    sets: int


def tasks(study: Study) -> list[str]:
    """Swept coordinates that change the data: those under ``data.source``."""
    return [name for name in study.coordinates if study.frame.attrs["paths"][name].startswith("data.source")]


def probability_of_improvement(
    study: Study, quantity: Quantity, groups: Sequence[Group], label: str, reference: str
) -> Improvement | None:
    """Over the groups in which both have a value; None where there is none."""
    pairs = []
    for group in groups:
        outcomes = study.outcomes(quantity)[group]
        own, other = (
            quantity.sign * np.array(list(outcomes.get(name, Outcome()).values.values())) for name in (label, reference)
        )
        if len(own) and len(other):
            pairs.append((own, other))
    if not pairs:
        return None
    rng = np.random.default_rng(0)
    estimate = float(np.mean([_wins(own[None], other[None])[0] for own, other in pairs]))
    if min(min(len(own), len(other)) for own, other in pairs) < 3:
        return Improvement(estimate, np.nan, np.nan, len(pairs))
    drawn = np.mean([_wins(_resampled(own, rng), _resampled(other, rng)) for own, other in pairs], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Improvement(estimate, float(low), float(high), len(pairs))


def _resampled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))]


def _wins(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of pairs in which ``own`` is smaller; (resamples, n) and (resamples, m) to (resamples,)."""
    gap = own[:, :, None] - other[:, None, :]
    return ((gap < 0) + 0.5 * (gap == 0)).mean(axis=(1, 2))


def performance_profile(
    study: Study, quantity: Quantity, groups: Sequence[Group], label: str, taus: np.ndarray
) -> np.ndarray | None:
    """Share of a variant's runs within a factor tau of the best mean of their group; a run that failed never is.

    ``taus`` (points,) at least 1, lower-is-better quantities only; (points,), or None where it has no cells.
    """
    ratios: list[float] = []
    for group in groups:
        outcomes = study.outcomes(quantity)[group]
        means = [outcome.mean for outcome in outcomes.values() if outcome.mean is not None]
        if label in outcomes and means and min(means) > 0:  # no number is a factor of zero
            ratios += [value / min(means) for value in outcomes[label].values.values()]
            ratios += [np.inf] * len(outcomes[label].failures)
    return np.mean(np.array(ratios)[:, None] <= taus, axis=0) if ratios else None
