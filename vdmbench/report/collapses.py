"""Runs that collapsed: their training ended in something else than their siblings' did.

The rule is declared here, before any distance is looked at: a run collapsed if its loss at the end, of training or held out,
is NaN or more than twice the median of its siblings' (the other seeds of the same variant at the same sweep point, at least
two). Such a run is named, and what is claimed of the variant must hold with it and without it.
"""

from __future__ import annotations

import math
from statistics import median

from vdmbench.quantities import Quantity
from vdmbench.report.study import Group, Outcome, Study

FACTOR = 2.0
FEWEST_SIBLINGS = 2
RULE = f"a final loss that is NaN or beyond {FACTOR:g} times the median of the other seeds'"


def collapsed(study: Study, group: Group, label: str) -> dict[int, str]:
    """Seeds of one variant at one sweep point whose run collapsed, each with what tells so."""
    found = {seed: status for seed, status in study.statuses[group].get(label, Outcome()).failures.items() if status == "nan"}
    for cell in study.cells_in(group, label):
        training = cell.record.training
        if training is not None and training.final_loss is not None and not math.isfinite(training.final_loss):
            found.setdefault(cell.record.seed, "nan")
    for quantity in (quantity for quantity in study.quantities if quantity.tells_collapse):
        values = study.outcomes(quantity)[group].get(label, Outcome()).values
        for seed, value in values.items():
            siblings = [other for sibling, other in values.items() if sibling != seed]
            if len(siblings) >= FEWEST_SIBLINGS and value > FACTOR * median(siblings):
                found.setdefault(seed, f"{quantity.label.lower()} {value:.3g} against {median(siblings):.3g}")
    return dict(sorted(found.items()))


def runs_for_tests(study: Study, quantity: Quantity, group: Group, label: str) -> tuple[dict[int, float], set[int]]:
    """A variant's values by seed as a test takes them, and which of these seeds collapsed.

    A run that ended in NaN is worse than any number in what its training decides. Memory and time do not come from what was
    learned: there no run is set apart.
    """
    values = dict(study.outcomes(quantity)[group].get(label, Outcome()).values)
    if quantity.reach != "portable":
        return values, set()
    lost = collapsed(study, group, label)
    if quantity.better != "neither":
        values |= {seed: quantity.sign * math.inf for seed in lost if seed not in values}
    return values, set(lost)


def collapses(study: Study) -> list[str]:
    """Every collapsed run of a study, named for people."""
    return [
        f"{', '.join(filter(None, (label, study.title(group))))}, seed {seed} ({why})"
        for group in study.groups
        for label in study.labels
        for seed, why in collapsed(study, group, label).items()
    ]
