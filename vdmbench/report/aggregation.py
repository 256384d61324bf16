"""Over seeds: means with their scatter, differences to a reference, and which variant is best if any may be called so."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vdmbench.quantities import Quantity
from vdmbench.report.collapses import runs_for_tests
from vdmbench.report.frame import column_of
from vdmbench.report.statistics import LEVEL, Effect, OverSeeds, corrected, paired_effect
from vdmbench.report.study import Group, Study


def compare(study: Study, quantity: Quantity, group: Group, label: str, reference: str) -> Effect | None:
    """One variant against another, paired by seed, on the quantity's scale, with and without runs that collapsed."""
    values, lost = runs_for_tests(study, quantity, study.group_with(group, label), label)
    base, lost_base = runs_for_tests(study, quantity, study.group_with(group, reference), reference)
    return paired_effect(values, base, ratio=not quantity.signed, counted=is_counted(quantity), collapsed=lost | lost_base)


def is_counted(quantity: Quantity) -> bool:
    """Whether values that agree in every seed were counted: what follows from the declaration, and bytes handed out."""
    return quantity.reach == "exact" or quantity.unit == "bytes"


def effects(study: Study, quantity: Quantity) -> dict[Group, dict[str, Effect | None]]:
    """Every variant against the study's reference, paired by seed, Holm-corrected over the variants of a group."""
    return {
        group: corrected(
            {
                label: compare(study, quantity, group, label, study.reference or "")
                for label in outcomes
                if label != study.reference
            }
        )
        for group, outcomes in study.outcomes(quantity).items()
    }


def best(study: Study, quantity: Quantity, group: Group) -> str | None:
    """The variant that is significantly better than every other one that has a number; None where none is.

    It is better than all only if it is better than each, so that the largest of the p-values is the one that counts, and
    needs no correction (intersection-union test; Berger, Technometrics 24, 1982).
    """
    measured = {label: outcome for label, outcome in study.outcomes(quantity)[group].items() if outcome.mean is not None}
    if quantity.better == "neither" or len(measured) < 2:
        return None
    leader = min(measured, key=lambda label: quantity.sign * float(np.median(list(measured[label].values.values()))))
    others = [compare(study, quantity, group, leader, label) for label in measured if label != leader]
    return leader if all(effect is not None and _better(quantity, effect) for effect in others) else None


def _better(quantity: Quantity, effect: Effect) -> bool:
    return 2 * (effect.p_below() if quantity.sign > 0 else effect.p_above()) < LEVEL


def aggregate(study: Study) -> pd.DataFrame:
    """Long table: a row for every suite, cohort, sweep point, variant and quantity, failures counted and named.

    Columns: coordinates, ``label, quantity, unit, mean, deviation, n, failed, failures, best``, and with a reference
    ``difference, low, high`` (median paired difference with its 95 % interval, in base units), ``relative, relative_low,
    relative_high`` (median of the difference as a share of the reference), ``p_holm, pairs``. Null where there is no number.
    """
    rows = []
    for quantity in study.quantities:
        against = effects(study, quantity) if study.reference else {}
        for group, outcomes in study.outcomes(quantity).items():
            winner = best(study, quantity, group)
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
                    row |= _against(effect)
                rows.append(row)
    frame = pd.DataFrame(rows)
    frame.attrs["paths"] = study.frame.attrs["paths"]
    for name in study.coordinates:
        frame[name] = column_of([row[name] for row in rows])
    for name in ("mean", "deviation", *_AGAINST):
        if name in frame:
            frame[name] = frame[name].astype(float)
    return frame


_AGAINST = ("difference", "low", "high", "relative", "relative_low", "relative_high", "p_holm")


def _against(effect: Effect | None) -> dict[str, float | None]:
    if effect is None:
        return dict.fromkeys(_AGAINST) | {"pairs": 0}
    found = [number for over in (effect.difference, effect.relative) for number in _median_and_interval(over)]
    return dict(zip(_AGAINST, (*found, effect.adjusted), strict=True)) | {"pairs": effect.n}


def _median_and_interval(over: OverSeeds | None) -> tuple[float | None, float | None, float | None]:
    if over is None:
        return None, None, None
    return over.median, *(over.interval or (None, None))
