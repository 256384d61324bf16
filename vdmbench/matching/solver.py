"""Find the setting of a discrete knob at which a growing quantity comes closest to a target.

The quantity is a staircase: widths are rounded to whole heads and aligned rows, so only some values can be reached. Both
searches below return the reachable value that is closest to the target, the smaller one where two are equally close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Unreachable(ValueError):
    """No setting of the knob comes within tolerance; the message names the closest."""


@dataclass(frozen=True)
class Reached:
    """The best setting of a knob, and the value there."""

    setting: int | float
    value: int


def closest_multiple(quantity: Callable[[int], int], target: int, *, step: int, most: int = 1 << 14) -> Reached:
    """Search multiples of ``step`` up to ``most`` for a quantity that grows with them, O(log(most / step)) evaluations."""
    above = 1
    while above * step < most and quantity(above * step) < target:
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        if quantity(middle * step) < target:
            below = middle
        else:
            above = middle
    settings = [setting * step for setting in (below, above) if setting > 0]
    return min((Reached(setting, quantity(setting)) for setting in settings), key=lambda found: abs(found.value - target))


_NARROWEST, _WIDEST = 2.0**-6, 2.0**8
_RESOLUTION = 1e-4


def closest_width(quantity: Callable[[float], int], target: int) -> Reached:
    """Search real width factors from 1/64 to 256 for a staircase that grows with them.

    The steps on both sides of the target are found by bisection down to a relative width of 1e-4, finer than the steps of
    any network under ten thousand channels; the setting returned is the shortest decimal on the chosen step.
    """
    below, above = _NARROWEST, _WIDEST
    if quantity(below) >= target:
        above = below
    elif quantity(above) <= target:
        below = above
    while above / below > 1 + _RESOLUTION:
        middle = (below * above) ** 0.5
        if quantity(middle) < target:
            below = middle
        else:
            above = middle
    ends = [Reached(setting, quantity(setting)) for setting in (below, above)]
    found = min(ends, key=lambda each: abs(each.value - target))
    return Reached(_shortest_decimal(quantity, found), found.value)


def _shortest_decimal(quantity: Callable[[float], int], found: Reached) -> float:
    for digits in range(1, 7):
        for nudge in (0, 1, -1):
            rounded = float(f"{found.setting * (1 + nudge * 10.0**-digits / 2):.{digits}g}")
            if rounded > 0 and quantity(rounded) == found.value:
                return rounded
    return found.setting


def check_within(achieved: int, target: int, tolerance: float, what: str, how: str) -> float:
    """The mismatch (achieved - target) / target, or :class:`Unreachable` that names the closest reachable value."""
    mismatch = (achieved - target) / target
    if abs(mismatch) > tolerance:
        raise Unreachable(
            f"{what} cannot reach {target:,} within {100 * tolerance:g} %; the closest is {achieved:,} "
            f"({100 * mismatch:+.1f} %) at {how}; widen match.tolerance, move another knob or exempt the variant"
        )
    return mismatch
