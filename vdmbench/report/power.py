"""The smallest effect that a suite's claims can decide, before anything is run.

A claim is judged by the sign test over paired seeds (:mod:`~vdmbench.report.statistics`), at the level that Holm's correction
leaves for the first of all claims. At n seeds it needs k on one side. Where the logarithm of the paired ratio is normal with
deviation s about an effect d, a seed falls on that side with probability q = Phi(d / s), and k of n do with probability
I_q(k, n - k + 1), the regularised incomplete beta function. Set to 80 %, that gives q, and so d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from vdmbench.report.aggregation import is_counted
from vdmbench.report.statistics import LEVEL, MINIMUM_SEEDS, fewest_seeds, sign_p
from vdmbench.report.study import Study
from vdmbench.suite import Suite
from vdmbench.suite.claims import Claim, ParsedClaim, Term

POWER = 0.8
"""How often an effect of the smallest size is found."""


@dataclass(frozen=True)
class Power:
    """What the seeds of a suite can decide of one claim."""

    claim: str
    seeds: int
    needed: int
    """Seeds under which it cannot be decided, however large the effect is."""
    deviations: float | None
    """The smallest effect in standard deviations of the paired logarithm of the ratio; None where nothing can be decided."""
    spread: float | None
    """That standard deviation; None where it is neither declared nor measured."""
    spread_from: str
    tolerance: float | None = None
    """Of a claim that two sides are alike, as a share."""

    @property
    def effect(self) -> float | None:
        """The smallest effect, as a share: 0.1 is a ratio of 1.1."""
        if self.deviations is None or self.spread is None:
            return None
        return math.expm1(self.deviations * self.spread)

    @property
    def decides(self) -> bool:
        """Whether some effect, and of a tolerance this one, can be decided."""
        if self.deviations is None:
            return False
        return self.tolerance is None or self.effect is None or self.effect <= self.tolerance

    def line(self) -> str:
        """For a reader."""
        if self.deviations is None:
            return f"{self.claim}: {self.seeds} seeds cannot decide it; at least {self.needed} are needed"
        if self.effect is None:
            return (
                f"{self.claim}: {self.seeds} seeds decide effects from {self.deviations:.1f} deviations of the paired "
                "difference on; give the claim a 'spread', or run some seeds, for a percentage"
            )
        least = f"{100 * self.effect:.3g} %"
        if not self.decides:
            return (
                f"{self.claim}: {self.seeds} seeds cannot decide it; its tolerance of {100 * (self.tolerance or 0):.3g} % is "
                f"less than the {least} that they tell apart ({self.spread_from})"
            )
        return f"{self.claim}: {self.seeds} seeds decide effects from {least} on ({self.spread_from})"


def smallest_effect(seeds: int, *, tests: int = 1, sides: int = 2) -> float | None:
    """In deviations of the paired difference, found four times of five; None where so many seeds decide nothing."""
    if seeds < MINIMUM_SEEDS:
        return None
    most = [k for k in range(1, seeds + 1) if sides * tests * sign_p(k, seeds) < LEVEL]
    if not most:
        return None
    k = min(most)
    return float(special.ndtri(special.betaincinv(k, seeds - k + 1, POWER)))


def powers(suite: Suite, measured: Study | None = None) -> list[Power]:
    """Of each claim of a suite that seeds decide: one over counted quantities alone needs none.

    :param measured: an earlier run, for the spread of claims that declare none.
    """
    found = []
    for claim in suite.claims:
        parsed = claim.parsed()
        if any(is_counted(quantity) for quantity in suite.quantities if quantity.name == parsed.left.quantity):
            continue
        sides = 1 if claim.sided == "one" else 2
        spread, source = _spread(claim, parsed, measured)
        found.append(
            Power(
                claim.name or claim.says,
                len(suite.seeds),
                fewest_seeds(len(suite.claims), sides),
                smallest_effect(len(suite.seeds), tests=len(suite.claims), sides=sides),
                spread,
                source,
                parsed.tolerance if isinstance(parsed.tolerance, float) else None,
            )
        )
    return found


def _spread(claim: Claim, parsed: ParsedClaim, measured: Study | None) -> tuple[float | None, str]:
    if claim.spread is not None:
        pairs = math.sqrt(2) if isinstance(parsed.right, Term) else 1.0  # of two variants, taken as independent
        return pairs * math.sqrt(math.log1p(claim.spread**2)), f"spread of {100 * claim.spread:.3g} % between seeds, declared"
    deviations = [] if measured is None else _deviations(parsed, measured)
    if not deviations:
        return None, "no spread"
    return float(np.median(deviations)), f"spread of earlier records, the median of {len(deviations)} points"


def _deviations(parsed: ParsedClaim, study: Study) -> Sequence[float]:
    """Of the paired logarithm of the ratio, at each point with three seeds or more of both sides."""
    quantity = next((each for each in study.known if each.name == parsed.left.quantity), None)
    if quantity is None:
        return []
    found = []
    for outcomes in study.outcomes(quantity).values():
        sides = [outcomes[term.label].values for term in parsed.terms if term.label in outcomes]
        seeds = set.intersection(*map(set, sides)) if len(sides) == len(parsed.terms) else set()
        values = np.array([[side[seed] for side in sides] for seed in sorted(seeds)])
        if len(values) >= MINIMUM_SEEDS and (values > 0).all():
            logs = np.log(values)
            found.append(float(np.std(logs[:, 0] - (logs[:, 1] if logs.shape[1] > 1 else 0.0), ddof=1)))
    return found
