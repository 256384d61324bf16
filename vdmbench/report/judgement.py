"""What is found of a claim: at each sweep point, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vdmbench.report.statistics import LEVEL
from vdmbench.suite.claims import Claim


class Verdict(StrEnum):
    """What the records say of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """A claim at one sweep point (or over pooled ones)."""

    where: str
    effect: float | None = None
    """Median over seeds of left over right, minus one; of left minus right for what is compared by differences."""
    low: float | None = None
    high: float | None = None
    """95 % interval of it; null below six pairs."""
    unit: str = "%"
    n: int = 0
    """Paired seeds."""
    held: tuple[tuple[int, int], ...] = ()
    """In how many seeds the claim holds, of how many: of all runs and, where some collapsed, of those without them too."""
    for_it: float | None = None
    against_it: float | None = None
    """One-sided p-values of the two answers, the second corrected for the claim's points; null where nothing was tested."""
    p: float | None = None
    """Of the answer that is nearer, after Holm's correction over all claims."""
    settled: Verdict | None = None
    """A verdict that needs no test: one side ran out of memory where the other did not."""
    reason: str = ""
    """What it rests on; why nothing can be said, or what more it would take."""

    @property
    def tested(self) -> bool:
        return self.for_it is not None and self.against_it is not None

    @property
    def verdict(self) -> Verdict:
        if self.settled is not None:
            return self.settled
        if self.p is None or self.for_it is None or self.against_it is None or self.p >= LEVEL:
            return Verdict.UNDECIDED
        return Verdict.SUPPORTED if self.for_it < self.against_it else Verdict.REFUTED


@dataclass(frozen=True)
class Judgement:
    """One claim with all its findings."""

    claim: Claim
    findings: tuple[Finding, ...]
    reason: str = ""
    """Why there is no finding at all."""
    unmet: tuple[str, ...] = ()
    """Sweep points where its condition is not shown to hold."""
    p: float | None = None
    """Of the whole claim, after Holm's correction over all claims; null where no test was made."""

    @property
    def name(self) -> str:
        return self.claim.name or self.claim.says

    @property
    def verdict(self) -> Verdict:
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        return Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.UNDECIDED

    @property
    def sides(self) -> int:
        """Answers that a test may give."""
        return 1 if self.claim.sided == "one" else 2

    @property
    def raw_p(self) -> float | None:
        """Of the whole claim, not yet corrected for others; null where no test was made, or none is needed."""
        tests = [finding for finding in self.findings if finding.settled is None]
        known = [self.finding_p(finding) for finding in tests if finding.tested]
        if not known or any(finding.settled == Verdict.REFUTED for finding in self.findings):
            return None
        against = [finding.against_it for finding in tests if finding.against_it is not None]
        refuted = 2 * min(against) if self.sides == 2 else 1.0
        supported = self.sides * max(finding.for_it for finding in tests if finding.for_it is not None)
        return min(1.0, refuted, supported if len(known) == len(tests) else 1.0)

    def finding_p(self, finding: Finding) -> float:
        """Of one point by itself."""
        for_it, against_it = finding.for_it or 0.0, finding.against_it or 0.0
        return for_it if self.sides == 1 else min(1.0, 2 * min(for_it, against_it))
