"""What the gate answers: a verdict on every quantity of every cell, and on all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

from vdmbench.report.tables import shown_value


class Verdict(StrEnum):
    """What became of one quantity of one cell."""

    UNCHANGED = "unchanged"
    IMPROVED = "improved"
    REGRESSION = "regression"
    STATUS = "status changed"
    MISSING = "missing"
    NEW = "new"
    PROTOCOL = "other protocol"
    NUMBERS = "other numbers"
    HARDWARE = "other hardware"
    NOT_JUDGED = "not judged"


FAILS = {Verdict.REGRESSION}


UNDECIDED = {Verdict.MISSING, Verdict.PROTOCOL, Verdict.NUMBERS, Verdict.HARDWARE}


MOST_ROWS = 60
"""That a pull request comment can hold."""


@dataclass(frozen=True)
class Row:
    """One judgement."""

    cell: str
    quantity: str
    verdict: Verdict
    baseline: float | None = None
    new: float | None = None
    note: str = ""

    @property
    def change(self) -> float | None:
        """Relative; null where the baseline is 0 or either value is unknown."""
        return None if self.baseline in (None, 0) or self.new is None else (self.new - self.baseline) / abs(self.baseline)


@dataclass(frozen=True)
class Comparison:
    """All judgements and what follows from them."""

    rows: list[Row]
    problem: str | None = None
    """Why nothing could be compared at all."""
    cells: int = 0
    """Joined."""
    counts: dict[Verdict, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 nothing is worse; 1 a regression; 4 the gate could not decide."""
        if any(row.verdict in FAILS for row in self.rows):
            return 1
        return 4 if self.problem or any(row.verdict in UNDECIDED for row in self.rows) else 0

    def to_json(self) -> str:
        """Everything, for scripts."""
        rows = [
            {
                "cell": row.cell,
                "quantity": row.quantity,
                "verdict": str(row.verdict),
                "baseline": row.baseline,
                "new": row.new,
                "change": row.change,
                "note": row.note,
            }
            for row in self.rows
        ]
        return json.dumps(
            {
                "exit_code": self.exit_code,
                "problem": self.problem,
                "cells": self.cells,
                "counts": {str(verdict): count for verdict, count in self.counts.items()},
                "rows": rows,
            },
            indent=1,
        )

    def to_markdown(self) -> str:
        """Fit for a pull request comment: the outcome, then every row that is not plainly unchanged."""
        outcome = {0: "no regression", 1: "regression", 4: "could not decide"}[self.exit_code]
        counted = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        lines = [
            f"**vdmbench compare: {outcome}**",
            "",
            f"{self.problem}." if self.problem else f"{self.cells} cells joined; {counted}.",
        ]
        lines += [
            f"- {row.cell}: {row.quantity} not judged, {row.note}"
            for row in self.rows
            if row.verdict == Verdict.NOT_JUDGED and row.note
        ]
        shown = sorted(
            (row for row in self.rows if row.verdict not in (Verdict.UNCHANGED, Verdict.NOT_JUDGED)),
            key=lambda row: (row.verdict not in FAILS, row.verdict not in UNDECIDED),
        )
        if shown:
            lines += ["", "| Cell | Quantity | Baseline | New | Change | Outcome |", "|---|---|---:|---:|---:|---|"]
            for row in shown[:MOST_ROWS]:
                change = "" if row.change is None else f"{100 * row.change:+.1f} %"
                note = f": {row.note}" if row.note else ""
                fields = [row.cell, row.quantity, _shown(row.baseline), _shown(row.new), change, f"{row.verdict}{note}"]
                lines.append(f"| {' | '.join(' '.join(text.replace('|', '/').split()) for text in fields)} |")
        if len(shown) > MOST_ROWS:
            lines += ["", f"... and {len(shown) - MOST_ROWS} more."]
        return "\n".join(lines) + "\n"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1e6 else shown_value(value)
