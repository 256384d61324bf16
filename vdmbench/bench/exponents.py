"""How a cost grows with frames: the slope of a line through the logarithms, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

REACH = 8
"""Only clips of at least the longest over this count: in shorter ones fixed costs hide the growth."""


@dataclass(frozen=True)
class Exponent:
    """cost ~ frames ** value; the interval is NaN below three points."""

    value: float
    low: float
    high: float
    points: int

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" ± {(self.high - self.low) / 2:.2f}"
        return f"{self.value:.2f}{interval}"


def fit_exponent(frames: Sequence[int], costs: Sequence[float]) -> Exponent | None:
    """Least squares over the longest clips, from the longest over :data:`REACH` on; the 95 % interval is Student's, of the
    residuals, so it is wide where the points do not lie on a line. None with fewer than two positive costs."""
    kept = [(n, cost) for n, cost in zip(frames, costs, strict=True) if cost > 0]
    longest = max((n for n, _ in kept), default=0)
    kept = [(n, cost) for n, cost in kept if n * REACH >= longest]
    if len({n for n, _ in kept}) < 2:
        return None
    x, y = (np.log(np.array(column, dtype=float)) for column in zip(*kept, strict=True))
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    half, freedom = math.nan, len(kept) - 2
    if freedom > 0:
        error = math.sqrt(float(((y - slope * x) ** 2).sum()) / freedom / float(x @ x))
        half = float(stdtrit(freedom, 0.975)) * error
    return Exponent(slope, slope - half, slope + half, len(kept))
