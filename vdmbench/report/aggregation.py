"""Over seeds: means with their scatter, differences to a reference, and which variant is best if any may be called so."""

from __future__ import annotations

import pandas as pd

from vdmbench.report.quantities import Quantity
from vdmbench.report.statistics import Effect, corrected, paired_effect
from vdmbench.report.study import Group, Outcome, Study


def effects(study: Study, quantity: Quantity) -> dict[Group, dict[str, Effect | None]]:
    """Every variant against the study's reference, paired by seed, Holm-corrected over the variants of a group."""
    answer: dict[Group, dict[str, Effect | None]] = {}
    for group, outcomes in study.outcomes(quantity).items():
        base = outcomes.get(study.reference or "", Outcome())
        answer[group] = corrected(
            {
                label: paired_effect(outcome.values, base.values)
                for label, outcome in outcomes.items()
                if label != study.reference
            }
        )
    return answer


def best(quantity: Quantity, outcomes: dict[str, Outcome]) -> str | None:
    """The variant that is significantly better than every other one that has a number; None where none is.

    Each of the others is tested against it on shared seeds, Holm-corrected; fewer than three of them claim nothing.
    """
    measured = {label: outcome for label, outcome in outcomes.items() if outcome.mean is not None}
    if quantity.better == "neither" or len(measured) < 2:
        return None
    sign = quantity.sign
    leader = min(measured, key=lambda label: sign * (measured[label].mean or 0.0))
    tests = corrected(
        {
            label: paired_effect(outcome.values, measured[leader].values)
            for label, outcome in measured.items()
            if label != leader
        }
    )
    won = all(effect is not None and effect.significant and sign * effect.difference > 0 for effect in tests.values())
    return leader if won else None


def aggregate(study: Study) -> pd.DataFrame:
    """Long table: a row for every suite, cohort, sweep point, variant and quantity, failures counted and named.

    Columns: coordinates, ``label, quantity, unit, mean, deviation, n, failed, failures, best``, and with a reference
    ``difference, relative, low, high, p_holm, pairs``. Null where there is no number.
    """
    rows = []
    for quantity in study.quantities:
        against = effects(study, quantity) if study.reference else {}
        for group, outcomes in study.outcomes(quantity).items():
            winner = best(quantity, outcomes)
            for label, outcome in outcomes.items():
                effect = against.get(group, {}).get(label)
                row = {
                    "suite": group.suite,
                    "cohort": group.cohort,
                    **dict(group.point),
                    "label": label,
                    "quantity": quantity.name,
                    "unit": quantity.unit,
                    "mean": outcome.mean,
                    "deviation": outcome.deviation,
                    "n": outcome.n,
                    "failed": len(outcome.failures),
                    "failures": outcome.failed,
                    "best": label == winner,
                }
                if study.reference:
                    row |= {
                        "difference": effect.difference if effect else None,
                        "relative": effect.relative if effect else None,
                        "low": effect.low if effect else None,
                        "high": effect.high if effect else None,
                        "p_holm": effect.adjusted if effect else None,
                        "pairs": effect.n if effect else 0,
                    }
                rows.append(row)
    frame = pd.DataFrame(rows)
    for name in ("mean", "deviation", "difference", "relative", "low", "high", "p_holm"):
        if name in frame:
            frame[name] = frame[name].astype(float)
    return frame
