"""Find the setting of a discrete knob at which a growing quantity comes closest to a target, or stays within a budget.

The quantity is a staircase: widths are rounded to whole heads and aligned rows, so only some values can be reached. The search
finds the two neighbouring settings between which the target lies, by few evaluations: each can cost seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Quantity = Callable[[float], int | None]
"""Value at a setting; None where it is beyond every bound, as memory is that ran out."""


class Unreachable(ValueError):
    """No setting of the knob comes within tolerance; the message names the closest."""


@dataclass(frozen=True)
class Ladder:
    """The settings of a knob, in steps 1 to ``last``: multiples of ``unit``, or for widths a fine geometric progression."""

    last: int
    unit: int | None = None

    _NARROWEST, _RATIO = 2.0**-6, 1.0001  # finer than the steps of any network under ten thousand channels

    def setting(self, step: int) -> int | float:
        """The setting at a step."""
        return step * self.unit if self.unit else self._NARROWEST * self._RATIO ** (step - 1)

    def step(self, setting: float) -> int:
        """The step nearest to a setting."""
        found = setting / self.unit if self.unit else math.log(setting / self._NARROWEST) / math.log(self._RATIO) + 1
        return min(max(round(found), 1), self.last)


def multiples(unit: int, most: int) -> Ladder:
    """``unit``, 2 ``unit``, ... up to ``most``."""
    return Ladder(most // unit, unit)


WIDTHS = Ladder(last=1 + round(math.log(2.0**14) / math.log(1.0001)))
"""Factors from 1/64 to 256."""


@dataclass(frozen=True)
class Reached:
    """A setting of a knob, and the value there."""

    setting: int | float
    value: int | None


@dataclass(frozen=True)
class Bracket:
    """Neighbouring settings: the last whose value is at most the target, and the next. None where the ladder ends."""

    below: Reached | None
    above: Reached | None
    flat: bool = False
    """The value was the same at every setting tried, to the end of the ladder: the knob does not move it."""

    def closest(self, target: int) -> Reached:
        """The one whose value is closer to the target, the smaller where both are as close."""
        ends = [end for end in (self.below, self.above) if end is not None and end.value is not None]
        if not ends:
            raise Unreachable("nothing that was tried has a value: every setting ran out of memory")
        return min(ends, key=lambda end: abs((end.value or 0) - target))


def bracket(quantity: Quantity, target: int, ladder: Ladder, start: float) -> Bracket:
    """The two steps of ``ladder`` between which a quantity that grows along it passes ``target``.

    From ``start`` it goes where proportion says, further each time, until it has the target between two steps; then where a
    power law through both ends says, and where that gains less than half, it halves the stretch. Memory and parameters are
    near to power laws of an exponent from 1 to 2, so that few evaluations do.
    """
    low, high = 0, ladder.last + 1
    values: dict[int, int | None] = {}

    def is_below(step: int) -> bool:
        values[step] = value = quantity(ladder.setting(step))
        return value is not None and value <= target

    step, stride = ladder.step(start), 1.0
    while low == 0 or high == ladder.last + 1:
        if is_below(step):
            low = step
        else:
            high = step
        if high == 1 or low == ladder.last or high - low == 1:
            break
        value = values[step]
        ratio = target / value if value else 2.0 if low == step else 0.5
        ratio = max(ratio, 17 / 16) if low == step else min(ratio, 16 / 17)  # where it hardly moves, it has far to go
        following = ladder.step(ladder.setting(step) * min(max(ratio**stride, 1 / 16), 16))
        step = max(step + 1, following) if low == step else min(step - 1, following)
        stride *= 2
    halve = False
    while high - low > 1:
        stretch = high - low
        step = (low + high) // 2 if halve else _power_law(ladder, low, high, values, target)
        if is_below(step):
            low = step
        else:
            high = step
        halve = not halve and high - low > stretch / 2
    below, above = (Reached(ladder.setting(end), values[end]) if end in values else None for end in (low, high))
    flat = None in (below, above) and len(values) > 1 and len(set(values.values())) == 1
    return Bracket(below, above, flat)


def _power_law(ladder: Ladder, low: int, high: int, values: dict[int, int | None], target: int) -> int:
    """The inner step at which the power law through both ends meets the target; the middle where there is none."""
    below, above = values[low], values[high]
    if not below or not above or above <= below:
        return (low + high) // 2
    share = math.log(target / below) / math.log(above / below)
    setting = ladder.setting(low) ** (1 - share) * ladder.setting(high) ** share
    return min(max(ladder.step(setting), low + 1), high - 1)


def shortest_decimal(setting: float, same: Callable[[float], bool]) -> float:
    """The shortest decimal near ``setting`` that is the ``same`` as it."""
    for digits in range(1, 7):
        for nudge in (0, 1, -1):
            rounded = float(f"{setting * (1 + nudge * 10.0**-digits / 2):.{digits}g}")
            if rounded > 0 and same(rounded):
                return rounded
    return setting


def check_within(
    achieved: int, target: int, tolerance: float, what: str, how: str, show: Callable[[int], str] = "{:,}".format
) -> float:
    """The mismatch (achieved - target) / target, or :class:`Unreachable` that names the closest reachable value."""
    mismatch = (achieved - target) / target
    if abs(mismatch) > tolerance:
        raise Unreachable(
            f"{what} cannot reach {show(target)} within {100 * tolerance:g} %; the closest is {show(achieved)} "
            f"({100 * mismatch:+.1f} %) at {how}; widen match.tolerance, move another knob or exempt the variant"
        )
    return mismatch
