"""Verdicts on claims as a table: what was found at every sweep point, and why it is enough or not."""

from __future__ import annotations

from collections.abc import Sequence

from vdmbench.report.judgement import Finding, Judgement, Verdict
from vdmbench.report.tables import ABSENT, Column, Entry, Table


def effect_text(finding: Finding) -> str:
    """The effect with its interval, for people."""
    if finding.effect is None:
        return ""
    factor, places = (100.0, 1) if finding.unit == "%" else (1.0, 3)
    text = f"{factor * finding.effect:+.{places}f}" + (f" {finding.unit}" if finding.unit else "")
    if finding.low is not None and finding.high is not None:
        text += f" ({factor * finding.low:+.{places}f} to {factor * finding.high:+.{places}f})"
    return text


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """A row for every claim at every sweep point it was judged at, its verdict first."""
    columns = [
        Column("claim", "Claim"),
        Column("verdict", "Verdict"),
        Column("where", "Where"),
        Column("effect", "Left to right, median over seeds (95 % interval)"),
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
                    Entry(effect_text(finding) or ABSENT, finding.effect),
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
        "Supported where every sweep point supports it, refuted where any refutes it (corrected for the claim's points); p < "
        "0.05 after Holm's correction over the claims. Sign test, paired by seed: p is how often so many seeds would fall on "
        "one side if in a new seed either side were as likely to be the lower; medians are compared, not means."
    ]
    if one_sided := [judgement.name for judgement in judgements if judgement.sides == 1]:
        notes.append(f"One-sided, as declared: supported or undecided, never refuted by a test: {'; '.join(one_sided)}.")
    notes += [
        f"{judgement.name}: not judged at {'; '.join(judgement.unmet)}, where its condition is not shown to hold."
        for judgement in judgements
        if judgement.unmet
    ]
    return Table("claims", "Claims", columns, rows, notes, frozenset(breaks - {0}))
