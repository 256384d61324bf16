"""A verdict on each claim of a suite: supported, refuted or undecided, with what it rests on.

A claim is judged at every sweep point that it is made for, seed by seed; all tests of all claims are one family under
Holm's correction. It is *supported* where every point supports it, *refuted* where any refutes it, and *undecided*
otherwise, with the reason and the seeds that would be needed. Nothing is decided below three paired seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
from scipy import special

from vdmbench.report.frontier import frontier_gap, points_of, widths
from vdmbench.report.items import Items
from vdmbench.report.panels import Panel, panels
from vdmbench.report.statistics import LEVEL, MINIMUM_PAIRS, Effect, holm, paired_effect, seeds_needed, student_quantile
from vdmbench.report.study import Group, Outcome, Study
from vdmbench.report.tables import ABSENT, Column, Entry, Table
from vdmbench.suite.claims import Amount, Claim, InvalidClaim, ParsedClaim, Term, check_claim


class Verdict(StrEnum):
    """What the records say of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """A claim at one sweep point (or over pooled ones)."""

    where: str
    relative: float | None = None
    """Left over right, minus one."""
    low: float | None = None
    high: float | None = None
    """95 % interval of it; null below three pairs."""
    n: int = 0
    """Paired seeds."""
    for_it: float | None = None
    against_it: float | None = None
    """p-values of the two one-sided answers, doubled; null where nothing was tested."""
    p: float | None = None
    """The smaller one after Holm's correction over the tests of all claims."""
    settled: Verdict | None = None
    """A verdict that needs no test: one side ran out of memory where the other did not."""
    reason: str = ""
    """Why nothing can be said, or what more it would take."""

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
    """Sweep points where its condition does not hold."""

    @property
    def name(self) -> str:
        return self.claim.name or self.claim.says

    @property
    def verdict(self) -> Verdict:
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        return Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.UNDECIDED


def judge_claims(study: Study, claims: Sequence[Claim]) -> list[Judgement]:
    """All claims of a suite on its records. One that names what these records have not, or whose judging fails, is undecided
    and says why; the others are judged all the same."""
    judgements = []
    for claim in claims:
        items = Items()
        judged = items.make("claim", partial(_judge, study, claim, claim.parsed()))
        judgements.append(judged or Judgement(claim, (), items.missing["claim"]))
    tests = [
        None if finding.for_it is None or finding.against_it is None else min(finding.for_it, finding.against_it)
        for judgement in judgements
        for finding in judgement.findings
    ]
    adjusted = iter(holm(tests))
    return [
        replace(judgement, findings=tuple(replace(finding, p=next(adjusted)) for finding in judgement.findings))
        for judgement in judgements
    ]


def _judge(study: Study, claim: Claim, parsed: ParsedClaim) -> Judgement:
    check_claim(parsed, [*study.labels, *study.frame["variant"]], study.known)
    for term in parsed.terms:
        if term.label not in study.labels:
            raise InvalidClaim(f"'{claim.says}': no cells of '{term.label}'; there are {', '.join(study.labels)}")
    chosen = [group for group in study.judged_groups if _is_at(study, claim, group)]
    if not chosen:
        return Judgement(claim, (), f"no cells at {claim.at}")
    unmet: tuple[str, ...] = ()
    if parsed.equal:
        found = [_at_equal(study, parsed, panel) for panel in panels(study, widths(study)) if set(panel.groups) <= set(chosen)]
    else:
        pooled: dict[tuple[object, ...], list[Group]] = {}
        for group in chosen:
            rest = tuple((name, value) for name, value in group.point if name not in claim.pool)
            pooled.setdefault((group.suite, group.cohort, rest), []).append(group)
        alike = [groups for groups in pooled.values() if _alike(study, parsed, groups)]
        unmet = tuple(study.title(groups[0]) for groups in pooled.values() if groups not in alike)
        found = [_at_points(study, parsed, groups) for groups in alike]
    findings = tuple(finding for finding in found if finding is not None)
    if findings:
        return Judgement(claim, findings, unmet=unmet)
    if parsed.alike:
        return Judgement(claim, (), f"{parsed.alike[0]} is nowhere within {100 * parsed.alike[1]:g} % on both sides")
    return Judgement(claim, (), "no sweep point has both sides")


def _is_at(study: Study, claim: Claim, group: Group) -> bool:
    paths = study.frame.attrs["paths"]
    for name in (*claim.at, *claim.pool):
        if name not in study.coordinates and name not in (paths[known] for known in study.coordinates):
            raise InvalidClaim(f"'{claim.says}': '{name}' is not swept; swept: {', '.join(study.coordinates) or 'nothing'}")
    wanted = {
        next(known for known in study.coordinates if name in (known, paths[known])): value for name, value in claim.at.items()
    }
    return all(group[name] == value or (isinstance(value, list) and group[name] in value) for name, value in wanted.items())


def _outcome(study: Study, groups: Sequence[Group], term: Term, quantity: str | None = None) -> Outcome:
    """Over several groups the geometric mean, seed by seed, of seeds that have all of them; the arithmetic mean of what may
    be zero or less."""
    asked = study.quantity(quantity or term.quantity)
    outcomes = [study.outcomes(asked)[group].get(term.label, Outcome()) for group in groups]
    if len(outcomes) == 1:
        return outcomes[0]
    seeds = set.intersection(*(set(outcome.values) for outcome in outcomes))
    found = {seed: [outcome.values[seed] for outcome in outcomes] for seed in sorted(seeds)}
    if asked.signed or any(min(each) <= 0 for each in found.values()):
        values = {seed: float(np.mean(each)) for seed, each in found.items()}
    else:
        values = {seed: math.exp(float(np.mean(np.log(each)))) for seed, each in found.items()}
    lost = {seed: status for outcome in outcomes for seed, status in outcome.failures.items() if seed not in values}
    return Outcome(values, lost)


def _at_points(study: Study, parsed: ParsedClaim, groups: Sequence[Group]) -> Finding | None:
    """None where the point has no cell of a side."""
    where = study.title(groups[0]) if len(groups) == 1 else f"{len(groups)} points pooled"
    left = _outcome(study, groups, parsed.left)
    if isinstance(parsed.right, Amount):
        right = Outcome(dict.fromkeys(left.values, parsed.right.value))
    else:
        right = _outcome(study, groups, parsed.right)
    if not (left.values or left.failures) or not (right.values or right.failures):
        return None
    if (settled := _out_of_memory(study, parsed, left, right)) is not None:
        return replace(settled, where=where)
    factor = parsed.left.factor / (parsed.right.factor if isinstance(parsed.right, Term) else 1.0)
    effect = paired_effect({seed: factor * value for seed, value in left.values.items()}, right.values)
    if effect is None:
        lost = "; ".join(
            f"{side}: {outcome.failed}" for side, outcome in (("left", left), ("right", right)) if outcome.failures
        )
        return Finding(where, reason=lost or "no seed has both sides")
    return _finding(where, parsed, effect)


def _alike(study: Study, parsed: ParsedClaim, groups: Sequence[Group]) -> bool:
    """Whether the claim's 'when' holds: the means of both variants are as close as it says."""
    if parsed.alike is None or isinstance(parsed.right, Amount):
        return True
    quantity, share = parsed.alike
    effect = paired_effect(*(_outcome(study, groups, term, quantity).values for term in (parsed.left, parsed.right)))
    return effect is not None and effect.relative is not None and abs(effect.relative) <= share


def _out_of_memory(study: Study, parsed: ParsedClaim, left: Outcome, right: Outcome) -> Finding | None:
    """Memory that was not enough is more than memory that was: no seed of one side fitted where every seed of the other did."""
    if study.quantity(parsed.left.quantity).unit != "bytes" or parsed.left.factor != 1.0 or isinstance(parsed.right, Amount):
        return None
    for lost, kept, smaller in ((right, left, "<"), (left, right, ">")):
        no_fit = not lost.values and set(lost.failures.values()) == {"oom"}
        if no_fit and not kept.failures and min(kept.n, len(lost.failures)) >= MINIMUM_PAIRS and parsed.right.factor == 1.0:
            verdict = Verdict.SUPPORTED if parsed.relation == smaller else Verdict.REFUTED
            side = "right" if lost is right else "left"
            return Finding(
                "",
                n=kept.n,
                settled=verdict,
                reason=f"the {side} side ran out of memory in all {len(lost.failures)} seeds, the other in none",
            )
    return None


def _finding(where: str, parsed: ParsedClaim, effect: Effect) -> Finding:
    relative, low, high = effect.relative, effect.share(effect.low), effect.share(effect.high)
    if relative is None:
        return Finding(where, n=effect.n, reason="the right side is 0")
    if low is None or high is None:
        return Finding(where, relative, n=effect.n, reason=f"{effect.n} paired seeds; at least {MINIMUM_PAIRS} are needed")
    error = (high - low) / 2 / student_quantile(effect.n)
    for_it, against_it = _two_answers(parsed, relative, error, effect.n)
    reason = ""
    if min(for_it, against_it) >= LEVEL:
        needed = seeds_needed(effect)
        reason = (
            f"about {needed} seeds would show a difference of this size"
            if needed
            else "no number of seeds in reach would show it"
        )
    return Finding(where, relative, low, high, effect.n, for_it, against_it, reason=reason)


def _two_answers(parsed: ParsedClaim, effect: float, error: float, n: int) -> tuple[float, float]:
    """Doubled one-sided p-values for and against the claim.

    For '=' two one-sided tests (Schuirmann, J. Pharmacokin. Biopharm. 15, 1987): for it, inside the tolerance on both sides;
    against it, beyond the tolerance on one.
    """

    def above(bound: float) -> float:
        """p-value of the statement that the effect is greater."""
        return float(effect <= bound) if error <= 0 else float(special.stdtr(n - 1, (bound - effect) / error))

    def below(bound: float) -> float:
        return float(effect >= bound) if error <= 0 else float(special.stdtr(n - 1, (effect - bound) / error))

    if parsed.relation == "=":
        tolerance = parsed.tolerance or 0.0
        answers = max(above(-tolerance), below(tolerance)), min(above(tolerance), below(-tolerance))
    else:
        answers = (below(0.0), above(0.0)) if parsed.relation == "<" else (above(0.0), below(0.0))
    return min(1.0, 2 * answers[0]), min(1.0, 2 * answers[1])


def _at_equal(study: Study, parsed: ParsedClaim, panel: Panel) -> Finding | None:
    """Along both frontiers, at equal values of another quantity."""
    if isinstance(parsed.right, Amount) or parsed.equal is None:
        return None
    x, y = study.quantity(parsed.equal), study.quantity(parsed.left.quantity)
    left, right = (points_of(study, panel.groups, term.label, x, y) for term in (parsed.left, parsed.right))
    gap = frontier_gap(left, right)
    if gap is None:
        return Finding(
            panel.title,
            reason=f"{len(left)} and {len(right)} widths were run; two or more on each side are needed, "
            f"with a common range of {parsed.equal}",
        )
    ratio = parsed.left.factor / parsed.right.factor
    relative = ratio * (1 + gap.relative) - 1
    if math.isnan(gap.low):
        return Finding(panel.title, relative, n=gap.n, reason=f"{gap.n} paired seeds; at least {MINIMUM_PAIRS} are needed")
    low, high = (ratio * (1 + bound) - 1 for bound in (gap.low, gap.high))
    error = (math.log1p(high) - math.log1p(low)) / 2 / student_quantile(gap.n)
    for_it, against_it = _two_answers(parsed, math.log1p(relative), error, gap.n)
    return Finding(panel.title, relative, low, high, gap.n, for_it, against_it)


def effect_text(finding: Finding) -> str:
    """The effect with its interval, for people."""
    if finding.relative is None:
        return ""
    text = f"{100 * finding.relative:+.1f} %"
    if finding.low is not None and finding.high is not None:
        text += f" ({100 * finding.low:+.1f} to {100 * finding.high:+.1f})"
    return text


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """A row for every claim at every sweep point it was judged at, its verdict first."""
    columns = [
        Column("claim", "Claim"),
        Column("verdict", "Verdict"),
        Column("where", "Where"),
        Column("effect", "Left to right (95 % interval)"),
        Column("seeds", "Seeds", True),
        Column("p", "p (Holm)", True),
        Column("here", "There"),
        Column("reason", "What it rests on, or what is wanting"),
    ]
    rows: list[list[Entry]] = []
    breaks = set()
    for judgement in judgements:
        breaks.add(len(rows))
        verdict = Entry(
            judgement.verdict, bold=judgement.verdict != Verdict.UNDECIDED, failed=judgement.verdict == Verdict.REFUTED
        )
        claim = judgement.name if judgement.name == judgement.claim.says else f"{judgement.name}: {judgement.claim.says}"
        for finding in judgement.findings:
            p = ABSENT if finding.p is None else "<0.001" if finding.p < 0.001 else f"{finding.p:.3f}"
            rows.append(
                [
                    Entry(claim),
                    verdict,
                    Entry(finding.where or ABSENT),
                    Entry(effect_text(finding) or ABSENT, finding.relative),
                    Entry(str(finding.n), finding.n),
                    Entry(p, finding.p),
                    Entry(finding.verdict),
                    Entry(finding.reason or ABSENT),
                ]
            )
        if not judgement.findings:
            rows.append(
                [
                    Entry(claim),
                    verdict,
                    Entry(ABSENT),
                    Entry(ABSENT),
                    Entry("0", 0),
                    Entry(ABSENT),
                    Entry(ABSENT),
                    Entry(judgement.reason),
                ]
            )
    notes = [
        "Supported where every sweep point supports it, refuted where any refutes it; p < 0.05 after Holm's correction over "
        "the tests of all claims, paired by seed."
    ]
    notes += [
        f"{judgement.name}: not judged at {'; '.join(judgement.unmet)}, where its condition does not hold."
        for judgement in judgements
        if judgement.unmet
    ]
    return Table("claims", "Claims", columns, rows, notes, frozenset(breaks - {0}))
