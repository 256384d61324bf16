"""What may be said about a difference from a handful of paired seeds.

A seed fixes initial weights, batches and noise alike for all variants, so variants are compared seed by seed. The null
hypothesis is that in a new seed one variant is as likely to be below the other as above it: the median of the paired
difference is 0, and of the paired ratio 1. Under it the seeds that lie on one side are the heads of tosses of a fair coin,
whatever the shape of either variant's scatter (sign test; Arbuthnott, Phil. Trans. 27, 1710; Conover, Practical Nonparametric
Statistics, 1999, section 3.4). Tests of means and of ranks hold their level only where both variants scatter alike, which
variants do not.

The price is seeds: two-sided, six is the least number that can decide anything (2 / 2^6 = 0.031), one-sided five. Everything
else that a report derives from seeds (an exponent, a crossover, the gap of two frontiers) is computed in each seed by itself
and judged in the same way. Below three seeds nothing is said at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

MINIMUM_SEEDS = 3
LEVEL = 0.05


def sign_p(heads: Any, tosses: Any) -> Any:
    """Probability of at least ``heads`` heads in ``tosses`` tosses of a fair coin; elementwise."""
    return special.bdtrc(np.asarray(heads) - 1.0, tosses, 0.5)


@lru_cache(maxsize=64)
def _rank(n: int) -> int | None:
    """The k for which the k-th lowest to the k-th highest of ``n`` values hold the median in 95 % of all cases; None: none
    does."""
    ranks = [k for k in range(1, n // 2 + 1) if 2 * sign_p(n - k + 1, n) <= LEVEL]
    return max(ranks, default=None)


@dataclass(frozen=True)
class OverSeeds:
    """One number a seed, and what may be said of the median of all seeds that there could be."""

    values: tuple[float, ...]
    """NaN where the number does not exist in a seed; such a seed speaks for no side, and counts."""
    counted: bool = False
    """Whether the number is the same in every seed by construction, so that nothing is estimated."""

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def defined(self) -> int:
        """Seeds in which the number exists."""
        return sum(not math.isnan(value) for value in self.values)

    @property
    def median(self) -> float | None:
        """Over the seeds in which it exists; null where there is none."""
        known = [value for value in self.values if not math.isnan(value)]
        return float(np.median(known)) if known else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the median, from order statistics (Conover 1999, section 3.2); null below six seeds, or where too
        many seeds lack the number."""
        if self.counted and self.n >= MINIMUM_SEEDS:
            return self.values[0], self.values[0]
        k = _rank(self.n)
        if k is None:
            return None
        low = sorted(-math.inf if math.isnan(value) else value for value in self.values)[k - 1]
        high = sorted(math.inf if math.isnan(value) else value for value in self.values)[-k]
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None

    def above(self, bound: float) -> int:
        """Seeds in which it is greater than ``bound``."""
        return sum(value > bound for value in self.values)

    def below(self, bound: float) -> int:
        return sum(value < bound for value in self.values)

    def p_above(self, bound: float) -> float:
        """One-sided p of the statement that the median is greater than ``bound``; 1 below three seeds."""
        return self._p(self.above(bound))

    def p_below(self, bound: float) -> float:
        return self._p(self.below(bound))

    @property
    def p(self) -> float:
        """Two-sided, of a median of 0."""
        return min(1.0, 2 * min(self.p_above(0.0), self.p_below(0.0)))

    def _p(self, seeds: int) -> float:
        if self.n < MINIMUM_SEEDS:
            return 1.0
        return (0.0 if seeds else 1.0) if self.counted else float(sign_p(seeds, self.n))


def seed_by_seed(samples: Sequence[Mapping[int, float]], statistic: Callable[[np.ndarray], np.ndarray]) -> OverSeeds | None:
    """A statistic of several outcomes, in each seed that all of them have; None where these are fewer than three.

    ``statistic`` takes values (seeds, outcomes) to (seeds,), NaN where it is not defined.
    """
    seeds = sorted(set.intersection(*(set(sample) for sample in samples))) if samples else []
    if len(seeds) < MINIMUM_SEEDS:
        return None
    return OverSeeds(tuple(map(float, statistic(np.array([[sample[seed] for sample in samples] for seed in seeds])))))


@dataclass(frozen=True)
class Effect:
    """How one variant lies to another, seed by seed."""

    difference: OverSeeds
    """This variant minus the reference, in base units."""
    relative: OverSeeds | None
    """The same as a share of the reference; null for a quantity that is compared by differences."""
    tested: tuple[OverSeeds, ...]
    """What is tested: all runs and, where a run collapsed, those without it too; a statement must hold in each."""
    adjusted: float | None = None
    """p after Holm's correction over the family it was tested in."""

    @property
    def n(self) -> int:
        """Pairs that were measured."""
        return self.difference.n

    @property
    def on_scale(self) -> OverSeeds:
        """By the quantity's own scale: shares of the reference, or differences."""
        return self.relative or self.difference

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p of the statement that the median lies above ``bound``, on the quantity's scale."""
        return max(values.p_above(bound) for values in self.tested)

    def p_below(self, bound: float = 0.0) -> float:
        return max(values.p_below(bound) for values in self.tested)

    @property
    def p(self) -> float | None:
        """Two-sided, of no difference; null below three pairs."""
        return None if self.n < MINIMUM_SEEDS else min(1.0, 2 * min(self.p_above(), self.p_below()))

    @property
    def significant(self) -> bool:
        return self.adjusted is not None and self.adjusted < LEVEL


def paired_effect(
    values: Mapping[int, float],
    reference: Mapping[int, float],
    *,
    ratio: bool = True,
    counted: bool = False,
    collapsed: Collection[int] = (),
) -> Effect | None:
    """Over the seeds that both have; None where they share none that was measured.

    :param values: by seed; infinite for a run that was lost to divergence, which is worse than any number, and no measurement.
    :param ratio: whether the quantity is compared by ratios (all values positive), or by differences.
    :param counted: whether values that agree in every seed are counted, not estimated.
    :param collapsed: seeds whose run collapsed on either side; what is said must hold with and without them.
    """
    seeds = sorted(set(values) & set(reference))
    measured = [seed for seed in seeds if math.isfinite(values[seed]) and math.isfinite(reference[seed])]
    if not measured:
        return None
    exact = counted and len({values[seed] for seed in seeds}) == 1 and len({reference[seed] for seed in seeds}) == 1

    def over(chosen: Sequence[int], *, share: bool) -> OverSeeds:
        return OverSeeds(tuple(_gap(values[seed], reference[seed], share=share) for seed in chosen), exact)

    kept = [seed for seed in measured if seed not in collapsed]
    return Effect(
        over(measured, share=False),
        over(measured, share=True) if ratio else None,
        tuple(over(chosen, share=ratio) for chosen in ([seeds] if kept == seeds else [seeds, kept])),
    )


def _gap(value: float, base: float, *, share: bool) -> float:
    """A difference, or what it is as a share of the base; infinite where the base is 0, NaN where both are lost."""
    gap = value - base
    if not share or gap == 0 or not math.isfinite(gap):
        return gap
    return gap / abs(base) if base else math.copysign(math.inf, gap)


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


def fewest_seeds(tests: int = 1, sides: int = 2) -> int:
    """The least number of seeds at which ``tests`` tests under Holm's correction can all be significant."""
    return next(n for n in range(MINIMUM_SEEDS, 100) if sides * tests * sign_p(n, n) < LEVEL)


@lru_cache(maxsize=1024)
def seeds_needed(on_one_side: int, n: int, tests: int = 1, sides: int = 2) -> int | None:
    """Seeds at which a side that ``on_one_side`` of ``n`` seeds took would be told from none, 80 % of the time.

    A new seed is taken to fall on that side with probability (on_one_side + 1/2) / (n + 1). ``tests`` share Bonferroni's
    correction. None where that is no majority, or above 1,000.
    """
    chance = (on_one_side + 0.5) / (n + 1)
    if chance <= 0.5:
        return None
    for count in range(fewest_seeds(tests, sides), 1001):
        sides_taken = np.arange(count + 1)
        enough = sides_taken[sides * tests * sign_p(sides_taken, count) < LEVEL]
        if special.bdtrc(enough[0] - 1.0, count, chance) >= 0.8:
            return count
    return None
