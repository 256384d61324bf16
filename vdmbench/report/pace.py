"""How fast one run went compared with another, and by how much its single cells scatter about that.

On a machine that others use, times of equal code double from run to run, and not alike for all cells. What can be told is
whether one cell stands out from the others of its run: the ratios of new to old over all cells have a median, which is the
machine's, and a scatter about it, which a regression must exceed. On a quiet machine the scatter is small and the limits in
``vdmbench.toml`` decide; on one too busy nothing is said of times, which is itself told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from vdmbench.quantities import BUILT_IN

TIMES = tuple(quantity.name for quantity in BUILT_IN if quantity.dimension == "seconds")
FEWEST_CELLS = 3
DEVIATIONS = 6.0
"""Robust standard deviations of the logarithm that a cell must lie off its run's pace."""
WIDEST_REACH = 2.0
"""Where scatter explains a larger factor, no time is judged: on a machine that busy a verdict would be luck."""

Values = dict[str, float | str | None]


@dataclass(frozen=True)
class Pace:
    """Of one kind of time, over all cells of a cohort."""

    factor: float
    """Median of new over old."""
    reach: float
    """The factor about it that scatter explains."""

    @property
    def readable(self) -> bool:
        """Whether the cells agree well enough to say anything of a single one."""
        return self.reach <= WIDEST_REACH

    def stands_out(self, was: float, now: float) -> bool:
        """Whether a cell's ratio lies beyond that reach, to either side."""
        if was <= 0 or now <= 0:
            return True
        return abs(math.log(now / was / self.factor)) > math.log(self.reach)


STEADY = Pace(1.0, 1.0)
"""Where nothing is known of the pace, or a quantity is no time."""
Paces = dict[tuple[str, str], Pace]
"""By cohort and kind of time."""


def paces_of(cohorts: Mapping[str, str], before: Mapping[str, Values], after: Mapping[str, Values]) -> Paces:
    """From the cells that ran on one cohort both times (identity to cohort), where at least three tell it.

    The scatter is the median absolute deviation of the logarithms, times 1.4826 (Rousseeuw & Croux, JASA 88, 1993): fewer than
    half of the cells may have changed without widening it.
    """
    ratios: dict[tuple[str, str], list[float]] = {}
    for identity, cohort in cohorts.items():
        for time in TIMES:
            was, now = before[identity].get(time), after[identity].get(time)
            if isinstance(was, float) and isinstance(now, float) and was > 0 and now > 0:
                ratios.setdefault((cohort, time), []).append(math.log(now / was))
    return {key: _pace(values) for key, values in ratios.items() if len(values) >= FEWEST_CELLS}


def _pace(logarithms: list[float]) -> Pace:
    middle = median(logarithms)
    scatter = 1.4826 * median(abs(value - middle) for value in logarithms)
    return Pace(math.exp(middle), math.exp(DEVIATIONS * scatter))
