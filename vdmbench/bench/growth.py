"""From what shorter clips took to what a longer one will take."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST, MOST = 1.0, 3.0
"""Exponents of frames that are believed: no op here is cheaper than linear or dearer than cubic."""


def predict(frames: Sequence[int], costs: Sequence[float], target: int) -> float | None:
    """The last cost, grown at the exponent between the last two, within [1, 3]; None where nothing was measured.

    Short clips are flat, as fixed costs hide the growth: then the prediction is low, and the next one better.
    """
    if not costs:
        return None
    exponent = LEAST
    if len(costs) > 1 and min(costs[-2:]) > 0:
        exponent = math.log(costs[-1] / costs[-2]) / math.log(frames[-1] / frames[-2])
    return costs[-1] * (target / frames[-1]) ** min(MOST, max(LEAST, exponent))
