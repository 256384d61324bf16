"""A verdict on each claim of a suite: supported, refuted or undecided, with what it rests on.

A claim is judged at every sweep point that it is made for, seed by seed, by the sign test (:mod:`vdmbench.report.statistics`).
It is *supported* where every point supports it: one test, whose p is the largest over the points (intersection-union test;
Berger, Technometrics 24, 1982). It is *refuted* where any point refutes it, corrected for as many points as there are. Holm's
correction goes over claims. It is *undecided* otherwise, with the reason and the seeds that would be needed.

Where runs collapsed (:mod:`vdmbench.report.collapses`), the verdict must hold with and without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from vdmbench.cell_label import coordinate
from vdmbench.quantities import ALONG_TRAINING, Quantity
from vdmbench.report.aggregation import is_counted
from vdmbench.report.collapses import runs_for_tests
from vdmbench.report.frontier import Point, frontier_gap, points_of, widths
from vdmbench.report.items import Items
from vdmbench.report.judgement import Finding, Judgement, Verdict
from vdmbench.report.panels import Panel, panels
from vdmbench.report.statistics import (
    LEVEL,
    MINIMUM_SEEDS,
    Effect,
    OverSeeds,
    fewest_seeds,
    holm,
    paired_effect,
    seeds_needed,
)
from vdmbench.report.study import Group, Outcome, Study
from vdmbench.suite.claims import Amount, Claim, InvalidClaim, ParsedClaim, Term, check_claim


def too_few_seeds(claims: Sequence[Claim], seeds: int) -> str | None:
    """What to say before anything is run of claims that so many seeds cannot decide; None where all can be decided."""
    needed = [fewest_seeds(len(claims), 1 if claim.sided == "one" else 2) for claim in claims]
    undecidable = sum(fewest > seeds for fewest in needed)
    if not undecidable:
        return None
    one_sided = fewest_seeds(len(claims), 1)
    less = f", {one_sided} where claims are fixed now and declared 'sided: one'" if one_sided < max(needed) else ""
    return (
        f"claims: {seeds} {'seed' if seeds == 1 else 'seeds'} cannot decide {undecidable} of {len(claims)} claims, for "
        f"whatever is not counted: {max(needed)} are needed{less}"
    )


def judge_claims(study: Study, claims: Sequence[Claim]) -> list[Judgement]:
    """All claims of a suite on its records. One that names what these records have not, or whose judging fails, is undecided
    and says why; the others are judged all the same."""
    judgements = []
    for claim in claims:
        items = Items()
        judged = items.make("claim", partial(_judge, study, claim, claim.parsed()))
        judgements.append(judged or Judgement(claim, (), items.missing["claim"]))
    raw = [judgement.raw_p for judgement in judgements]
    tests = sum(p is not None for p in raw)
    return [_corrected(judgement, p, tests) for judgement, p in zip(judgements, holm(raw), strict=True)]


def _corrected(judgement: Judgement, p: float | None, tests: int) -> Judgement:
    """The same with Holm's correction, and the reasons that follow from it."""
    raw = judgement.raw_p
    # Of a claim that is decided its own factor; else that of all claims, so that no point says more than its claim could.
    factor = p / raw if p is not None and raw and p < LEVEL else float(max(1, tests))
    findings = []
    for finding in judgement.findings:
        if finding.settled is None and finding.tested:
            finding = replace(finding, p=min(1.0, factor * judgement.finding_p(finding)))
            finding = replace(finding, reason=_reason(finding, judgement, max(1, tests)))
        findings.append(finding)
    return replace(judgement, findings=tuple(findings), p=p)


def _reason(finding: Finding, judgement: Judgement, tests: int) -> str:
    """What a tested finding rests on, and where it decides nothing what is wanting."""
    (held, n), *without = finding.held
    parts = [f"holds in {held} of {n} seeds" + "".join(f", {some} of {kept} without what collapsed" for some, kept in without)]
    held, n = min(finding.held, key=lambda counts: counts[1])
    if finding.verdict == Verdict.UNDECIDED:
        sides, fewest = judgement.sides, fewest_seeds(tests, judgement.sides)
        over = f" over {tests} claims" if tests > 1 else ""
        alone = judgement.finding_p(finding)
        most = held if sides == 1 else max(held, n - held)
        if n < fewest:
            parts.append(f"cannot decide: {n} paired seeds; at least {fewest} are needed{over}")
        elif sides == 1 and held * 2 < n:
            parts.append("a one-sided claim can be supported, never refuted")
        else:
            if alone < LEVEL:
                parts.append(f"p {alone:.3f} alone, not after Holm's correction{over}")
            needed = seeds_needed(most, n, tests, sides)
            answer = "show" if 2 * held >= n else "refute"
            parts.append(f"about {needed} seeds would {answer} it" if needed else "no number of seeds in reach would decide it")
    return "; ".join([*parts, *filter(None, [finding.reason])])


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
    findings = [finding for finding in found if finding is not None]
    if findings:
        points = sum(finding.tested for finding in findings)
        return Judgement(
            claim,
            tuple(
                finding if finding.against_it is None else replace(finding, against_it=min(1.0, points * finding.against_it))
                for finding in findings
            ),
            unmet=unmet,
        )
    if parsed.alike:
        return Judgement(
            claim, (), f"{parsed.alike[0]} is nowhere shown to be within {_tolerance_text(parsed.alike[1])} on both sides"
        )
    return Judgement(claim, (), "no sweep point has both sides")


def _is_at(study: Study, claim: Claim, group: Group) -> bool:
    paths = study.frame.attrs["paths"]
    for name in (*claim.at, *claim.pool):
        if name not in study.coordinates and name not in (paths[known] for known in study.coordinates):
            raise InvalidClaim(f"'{claim.says}': '{name}' is not swept; swept: {', '.join(study.coordinates) or 'nothing'}")
    for name, wanted in claim.at.items():
        known = next(known for known in study.coordinates if name in (known, paths[known]))
        if group[known] not in [coordinate(paths[known], each) for each in (wanted if isinstance(wanted, list) else [wanted])]:
            return False
    return True


@dataclass(frozen=True)
class _Side:
    """One side of a claim at one point, or over pooled ones: values by seed, and seeds whose run collapsed."""

    values: dict[int, float]
    collapsed: frozenset[int] = frozenset()
    outcome: Outcome = field(default_factory=Outcome)
    """What was measured, and seeds without a number."""

    @property
    def exists(self) -> bool:
        return bool(self.values or self.outcome.failures)


def _side(study: Study, groups: Sequence[Group], term: Term, quantity: Quantity) -> _Side:
    """Over several groups the geometric mean, seed by seed, of seeds that have all of them; the arithmetic mean of what is
    compared by differences."""
    groups = [study.group_with(group, term.label) for group in groups]
    runs = [runs_for_tests(study, quantity, group, term.label) for group in groups]
    seeds = sorted(set.intersection(*(set(values) for values, _ in runs)))
    pooled = {seed: _pooled([values[seed] for values, _ in runs], quantity) for seed in seeds}
    collapsed = frozenset(seed for _, lost in runs for seed in lost)
    measured = {seed: value for seed, value in pooled.items() if math.isfinite(value)}
    outcomes = [study.outcomes(quantity)[group].get(term.label, Outcome()) for group in groups]
    lost = {seed: status for outcome in outcomes for seed, status in outcome.failures.items() if seed not in measured}
    return _Side(pooled, collapsed, Outcome(measured, lost))


def _pooled(values: Sequence[float], quantity: Quantity) -> float:
    lost = [value for value in values if math.isinf(value)]
    if lost or len(values) == 1:
        return lost[0] if lost else values[0]
    if quantity.signed:
        return float(np.mean(values))
    with np.errstate(divide="ignore"):  # one 0 makes it 0
        return float(np.exp(np.mean(np.log(values))))


def _at_points(study: Study, parsed: ParsedClaim, groups: Sequence[Group]) -> Finding | None:
    """None where the point has no cell of a side."""
    where = study.title(groups[0]) if len(groups) == 1 else f"{len(groups)} points pooled"
    quantity = study.quantity(parsed.left.quantity)
    left = _side(study, groups, parsed.left, quantity)
    if isinstance(parsed.right, Amount):
        right = _Side(dict.fromkeys(left.values, parsed.right.value))
    else:
        right = _side(study, groups, parsed.right, study.quantity(parsed.right.quantity))
    if not left.exists or not right.exists:
        return None
    if (settled := _out_of_memory(quantity, parsed, left.outcome, right.outcome)) is not None:
        return replace(settled, where=where)
    factors = parsed.left.factor, parsed.right.factor if isinstance(parsed.right, Term) else 1.0
    effect = paired_effect(
        {seed: factors[0] * value for seed, value in left.values.items()},
        {seed: factors[1] * value for seed, value in right.values.items()},
        ratio=_by_ratio(quantity, parsed.tolerance),
        counted=is_counted(quantity),
        collapsed=left.collapsed | right.collapsed,
    )
    if effect is None:
        lost = "; ".join(
            f"{name}: {side.outcome.failed}" for name, side in (("left", left), ("right", right)) if side.outcome.failures
        )
        return Finding(where, reason=lost or "no seed has both sides")
    unit = "%" if effect.relative else quantity.unit
    return _finding(where, parsed, quantity, effect, unit, _collapses(study, parsed, quantity, groups))


def _collapses(study: Study, parsed: ParsedClaim, quantity: Quantity, groups: Sequence[Group]) -> str:
    """Which runs collapsed, by name; the claim is judged with and without them."""
    named = [
        f"{term.label} seed {seed}"
        for term in parsed.terms
        for group in groups
        for seed in sorted(runs_for_tests(study, quantity, group, term.label)[1])
    ]
    return f"collapsed: {', '.join(dict.fromkeys(named))}" if named else ""


def _by_ratio(quantity: Quantity, tolerance: float | Amount | None) -> bool:
    """How two sides are compared: as a tolerance is written, and else on the quantity's own scale."""
    return not quantity.signed if tolerance is None else not isinstance(tolerance, Amount)


def _bounds(quantity: Quantity, tolerance: float | Amount) -> tuple[float, float]:
    """Between which an effect is within a tolerance. On a ratio scale 10 % is a factor of 1.1 either way, so that it does not
    matter which side is named first."""
    if isinstance(tolerance, Amount):
        return -tolerance.value, tolerance.value
    return (-tolerance if quantity.signed else 1 / (1 + tolerance) - 1), tolerance


def _tolerance_text(tolerance: float | Amount) -> str:
    return tolerance.text if isinstance(tolerance, Amount) else f"{100 * tolerance:g} %"


def _alike(study: Study, parsed: ParsedClaim, groups: Sequence[Group]) -> bool:
    """Whether the claim's 'when' is shown to hold: two one-sided tests say that both variants are as close as it says."""
    if parsed.alike is None or isinstance(parsed.right, Amount):
        return True
    quantity, tolerance = study.quantity(parsed.alike[0]), parsed.alike[1]
    left, right = (_side(study, groups, term, quantity) for term in (parsed.left, parsed.right))
    effect = paired_effect(
        left.values,
        right.values,
        ratio=_by_ratio(quantity, tolerance),
        counted=is_counted(quantity),
        collapsed=left.collapsed | right.collapsed,
    )
    return effect is not None and _within(effect, _bounds(quantity, tolerance)) < LEVEL


def _within(effect: Effect | OverSeeds, bounds: tuple[float, float]) -> float:
    """One-sided p of the statement that an effect lies within bounds: two one-sided tests (Schuirmann, J. Pharmacokin.
    Biopharm. 15, 1987)."""
    return max(effect.p_above(bounds[0]), effect.p_below(bounds[1]))


def _out_of_memory(quantity: Quantity, parsed: ParsedClaim, left: Outcome, right: Outcome) -> Finding | None:
    """Memory that was not enough is more than memory that was: no seed of one side fitted where every seed of the other did."""
    if quantity.unit != "bytes" or parsed.left.factor != 1.0 or isinstance(parsed.right, Amount):
        return None
    for lost, kept, smaller in ((right, left, "<"), (left, right, ">")):
        no_fit = not lost.values and set(lost.failures.values()) == {"oom"}
        if no_fit and not kept.failures and min(kept.n, len(lost.failures)) >= MINIMUM_SEEDS and parsed.right.factor == 1.0:
            verdict = Verdict.SUPPORTED if parsed.relation == smaller else Verdict.REFUTED
            side = "right" if lost is right else "left"
            return Finding(
                "",
                n=kept.n,
                settled=verdict,
                reason=f"the {side} side ran out of memory in all {len(lost.failures)} seeds, the other in none",
            )
    return None


def _finding(
    where: str, parsed: ParsedClaim, quantity: Quantity, effect: Effect | OverSeeds, unit: str, note: str = ""
) -> Finding:
    shown = effect.on_scale if isinstance(effect, Effect) else effect
    low, high = shown.interval or (None, None)
    middle = shown.median if shown.median is not None and math.isfinite(shown.median) else None
    versions = effect.tested if isinstance(effect, Effect) else (effect,)
    if parsed.relation == "=":
        lowest, highest = _bounds(quantity, parsed.tolerance or 0.0)
        held = [sum(lowest < value < highest for value in version.values) for version in versions]
        answers = _within(effect, (lowest, highest)), min(effect.p_above(highest), effect.p_below(lowest))
    else:
        less = parsed.relation == "<"
        held = [version.below(0.0) if less else version.above(0.0) for version in versions]
        answers = (effect.p_below(0.0), effect.p_above(0.0))
        answers = answers if less else answers[::-1]
    counts = tuple((count, version.n) for count, version in zip(held, versions, strict=True))
    return Finding(where, middle, low, high, unit, shown.n, counts, *answers, reason=note)


def _sizes(points: Sequence[Point]) -> int:
    """Widths that differ in what they are compared at: budgets may lead to the same one."""
    return len({tuple(sorted(point.x.items())) for point in points})


def _at_equal(study: Study, parsed: ParsedClaim, panel: Panel) -> Finding | None:
    """Along both frontiers, at equal values of another quantity."""
    if isinstance(parsed.right, Amount) or parsed.equal is None:
        return None
    x, y = study.quantity(parsed.equal), study.quantity(parsed.left.quantity)
    left, right = (points_of(study, panel.groups, term.label, x, y) for term in (parsed.left, parsed.right))
    gap = frontier_gap(left, right)
    if gap is None:
        seeds = min((len(set.intersection(*(set(point.x) for point in side))) for side in (left, right) if side), default=0)
        along = parsed.equal in ALONG_TRAINING and y.learned
        kind, done = ("points of training", "judged") if along else ("widths", "run")
        if min(len(left), len(right)) > 1 and seeds < MINIMUM_SEEDS:
            return Finding(panel.title, n=seeds, reason=f"{seeds} seeds have all {kind}; at least {MINIMUM_SEEDS} are needed")
        return Finding(
            panel.title,
            reason=f"{_sizes(left)} and {_sizes(right)} {kind} were {done}; two or more on each side are needed, "
            f"with a common range of {parsed.equal}",
        )
    ratio = parsed.left.factor / parsed.right.factor
    scaled = gap if y.signed else OverSeeds(tuple(ratio * (1 + value) - 1 for value in gap.values))
    missing = "" if gap.defined == gap.n else f"frontiers have a common range in {gap.defined} of {gap.n} seeds"
    return _finding(panel.title, parsed, y, scaled, y.unit if y.signed else "%", missing)
