"""Peaks planned for another card, PyTorch or set of packages than the rest of a cohort are left out of its tables, by name.

They could be planned again for one and the same, so that a report is not refused for them as it is for two measurements.
"""

from __future__ import annotations

import pandas as pd

from vdmbench.memory_quantities import PLANNED

_NAMES = [quantity.name for quantity in PLANNED]
_SOURCES = [str(quantity.source) for quantity in PLANNED]


def one_plan_each(frame: pd.DataFrame) -> list[str]:
    """Set to null, in ``frame``, the planned peaks that are not of their cohort's most frequent plan; a line for each such
    plan."""
    notes = []
    source = frame[_SOURCES[0]].copy()
    cohorts = frame["cohort"].dropna().unique()
    nowhere = cohorts[0] if len(cohorts) == 1 else ""  # a cell that failed before it knew its hardware counts with the others
    for _, rows in frame.groupby(frame["cohort"].fillna(nowhere), sort=False):
        (kept, count), *others = list(source[rows.index].value_counts().items()) or [("", 0)]
        for other, left_out in others:
            of_it = rows.index[source[rows.index] == other]
            frame.loc[of_it, [*_NAMES, *_SOURCES]] = None
            cells = "cell is" if left_out == 1 else "cells is"
            notes.append(
                f"Planned memory of {left_out} {cells} for {other}, of {count} for {kept}: the former is left out of "
                "tables and figures. Run those cells again (vdmbench rerun) where the latter can be planned."
            )
    return notes
