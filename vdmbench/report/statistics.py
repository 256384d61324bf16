"""What may be said about a difference from a handful of paired seeds.

A seed fixes batches, noise and initial samples alike for all variants, so variants are compared seed by seed. At three to
ten seeds a percentile bootstrap claims far too much: with three, its interval lies between the smallest and the largest
difference, which have one sign in a quarter of all runs of equal variants. The interval here is the bootstrap standard
error, freed of its n/(n-1) bias, times Student's quantile (Hesterberg, "What Teachers Should Know About the Bootstrap", Am.
Stat. 69(4), 2015, sections 3.2 and 5.3: narrowness bias, bootstrap t intervals); for a mean this is the t interval, for
ratios and interpolations it needs no formula. Below three pairs nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from scipy import special

MINIMUM_PAIRS = 3
LEVEL = 0.05
RESAMPLES = 3200


@dataclass(frozen=True)
class Effect:
    """A paired difference, this variant minus the reference."""

    difference: float
    base: float
    """The reference's mean over the same seeds."""
    low: float | None
    """95 % interval of the difference; null below three pairs."""
    high: float | None
    p: float | None
    """Two-sided, not yet corrected; null below three pairs."""
    n: int
    """Pairs."""
    adjusted: float | None = None
    """p after Holm's correction over the family it was tested in."""

    @property
    def significant(self) -> bool:
        return self.adjusted is not None and self.adjusted < LEVEL

    def share(self, value: float | None) -> float | None:
        """A difference as a share of the reference; null where that is 0."""
        return None if value is None or self.base == 0 else value / abs(self.base)

    @property
    def relative(self) -> float | None:
        return self.share(self.difference)


@lru_cache(maxsize=16)
def _weights(n: int) -> np.ndarray:
    """How often each of ``n`` seeds is drawn, as a share: (resamples, n). All n^n resamples where that is no more than are
    drawn, so that few seeds give an exact answer; else from a fixed seed."""
    if n**n <= RESAMPLES:
        chosen = np.array(list(product(range(n), repeat=n)))
    else:
        chosen = np.random.default_rng(n).integers(n, size=(RESAMPLES, n))
    return (chosen[:, :, None] == np.arange(n)).mean(axis=1)


def resampled_means(table: np.ndarray) -> np.ndarray:
    """Means over seeds of bootstrap resamples: (n, columns) to (resamples, columns); rows are drawn whole: pairing survives."""
    return _weights(len(table)) @ table


def student_quantile(n: int) -> float:
    """Student's 97.5 % quantile for ``n`` pairs."""
    return float(special.stdtrit(n - 1, 1 - LEVEL / 2))


def interval(estimate: float, error: float, n: int) -> tuple[float, float, float]:
    """95 % interval and two-sided p (of no effect), from the bootstrap's standard error over ``n`` pairs."""
    error *= float(np.sqrt(n / (n - 1)))
    if error <= 1e-12 * abs(estimate):  # every seed agrees to the last digit: counted, not estimated
        return estimate, estimate, 0.0 if estimate else 1.0
    reach = student_quantile(n) * error
    return estimate - reach, estimate + reach, float(2 * special.stdtr(n - 1, -abs(estimate) / error))


def paired_effect(values: Mapping[int, float], reference: Mapping[int, float]) -> Effect | None:
    """The difference over the seeds that both have; None where they share none."""
    seeds = sorted(set(values) & set(reference))
    if not seeds:
        return None
    pairs = np.array([[values[seed], reference[seed]] for seed in seeds])
    mean, base = pairs.mean(axis=0)
    difference = float(mean - base)
    if len(seeds) < MINIMUM_PAIRS:
        return Effect(difference, float(base), None, None, None, len(seeds))
    # The bootstrap's standard error of a mean has a closed form, the one that infinitely many resamples would give.
    error = float(np.std(pairs[:, 0] - pairs[:, 1])) / np.sqrt(len(seeds))
    return Effect(difference, float(base), *interval(difference, error, len(seeds)), len(seeds))


def bootstrap(
    samples: Sequence[Mapping[int, float]], statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float, float, float, int] | None:
    """(estimate, low, high, p of zero, pairs) of a statistic of several outcomes' means, all drawn by the same seeds.

    ``statistic`` takes means (resamples, outcomes) to (resamples,), NaN where it is not defined; interval and p are NaN where
    that happens in more than a tenth of the resamples, or below three pairs. None where the outcomes share no seed, or the
    statistic is not defined on all of them.
    """
    seeds = sorted(set.intersection(*(set(sample) for sample in samples))) if samples else []
    if not seeds:
        return None
    table = np.array([[sample[seed] for sample in samples] for seed in seeds])
    estimate = float(statistic(table.mean(axis=0, keepdims=True))[0])
    if np.isnan(estimate):
        return None
    answers = statistic(resampled_means(table)) if len(seeds) >= MINIMUM_PAIRS else np.array([np.nan])
    if np.isnan(answers).mean() > 0.1:
        return estimate, np.nan, np.nan, np.nan, len(seeds)
    return estimate, *interval(estimate, float(np.nanstd(answers)), len(seeds)), len(seeds)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Holm, Scand. J. Statist. 6, 1979); nulls are no tests and stay null."""
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = running
    return adjusted


def corrected(effects: Mapping[Any, Effect | None]) -> dict[Any, Effect | None]:
    """The same effects with Holm's correction over all of them."""
    adjusted = holm([effect.p if effect else None for effect in effects.values()])
    return {key: effect and replace(effect, adjusted=p) for (key, effect), p in zip(effects.items(), adjusted, strict=True)}


def seeds_needed(effect: Effect) -> int | None:
    """Seeds at which a difference of the seen size and scatter would be told from none, 80 % of the time, uncorrected.

    Noncentral t, two-sided at 5 % (Cohen, Statistical Power Analysis, 1988, chapter 2, paired form). None where it is
    not defined (fewer than three pairs, no scatter, no difference) or above 1,000.
    """
    if effect.low is None or effect.high is None or effect.high <= effect.low or effect.difference == 0:
        return None
    reach = (effect.high - effect.low) / 2
    deviation = reach / student_quantile(effect.n) * np.sqrt(effect.n)
    size = abs(effect.difference) / deviation
    for n in range(MINIMUM_PAIRS, 1001):
        if 1 - float(special.nctdtr(n - 1, size * np.sqrt(n), student_quantile(n))) >= 0.8:
            return n
    return None
