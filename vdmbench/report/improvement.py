"""Several data sets at once: how often one variant beats another, and how much of its results are how good.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021): probability of
improvement (section 4.3), here of runs paired by seed, and performance profiles (section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from vdmbench.quantities import Quantity
from vdmbench.report.statistics import LEVEL, MINIMUM_SEEDS
from vdmbench.report.study import Group, Outcome, Study


@dataclass(frozen=True)
class Improvement:
    """P(a run of the variant beats the reference's of the same data set and seed), mean over data sets, ties counting a
    half."""

    probability: float
    low: float
    """95 % interval: Clopper and Pearson's for as many tosses of one coin as there are pairs, which is wide enough for coins
    that differ between data sets (Hoeffding, Ann. Math. Statist. 27, 1956)."""
    high: float
    sets: int
    pairs: int


def tasks(study: Study) -> list[str]:
    """Swept coordinates that change the data: those under ``data.source``."""
    return [name for name in study.coordinates if study.frame.attrs["paths"][name].startswith("data.source")]


def probability_of_improvement(
    study: Study, quantity: Quantity, groups: Sequence[Group], label: str, reference: str
) -> Improvement | None:
    """Over the groups in which both have values at three or more common seeds; None where there is none."""
    shares, pairs = [], 0
    for group in groups:
        outcomes = study.outcomes(quantity)[group]
        own, other = (outcomes.get(name, Outcome()).values for name in (label, reference))
        seeds = sorted(set(own) & set(other))
        if len(seeds) >= MINIMUM_SEEDS:
            gap = quantity.sign * np.array([own[seed] - other[seed] for seed in seeds])
            shares.append(float(((gap < 0) + 0.5 * (gap == 0)).mean()))
            pairs += len(seeds)
    if not shares:
        return None
    probability = float(np.mean(shares))
    won, lost = probability * pairs, (1 - probability) * pairs
    low = float(special.betaincinv(won, lost + 1, LEVEL / 2)) if won else 0.0
    high = float(special.betaincinv(won + 1, lost, 1 - LEVEL / 2)) if lost else 1.0
    return Improvement(probability, low, high, len(shares), pairs)


def performance_profile(
    study: Study, quantity: Quantity, groups: Sequence[Group], label: str, taus: np.ndarray
) -> np.ndarray | None:
    """Share of a variant's runs within a factor tau of the best mean of their group; a run that failed never is.

    ``taus`` (points,) at least 1, for quantities that are compared by ratios; (points,). Groups in which no variant has three
    seeds with a value have no best; None where the variant has cells in no other.
    """
    ratios: list[float] = []
    for group in groups:
        outcomes = study.outcomes(quantity)[group]
        means = [outcome.mean for outcome in outcomes.values() if outcome.mean is not None and outcome.n >= MINIMUM_SEEDS]
        if label in outcomes and means and not quantity.signed:
            best = min(means, key=lambda mean: quantity.sign * mean)
            ratios += [(value / best) ** quantity.sign for value in outcomes[label].values.values()]
            ratios += [np.inf] * len(outcomes[label].failures)
    return np.mean(np.array(ratios)[:, None] <= taus, axis=0) if ratios else None
