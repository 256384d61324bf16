"""Find the setting of a discrete knob at which a growing quantity comes closest to a target, or stays within a budget.

The quantity is a staircase: widths are rounded to whole heads and aligned rows, so only some values can be reached. The search
finds the two neighbouring settings between which the target lies, by few evaluations: each can cost seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

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

    @property
    def ends(self) -> list[Reached]:
        """Those that there are."""
        return [end for end in (self.below, self.above) if end is not None]

    def closest(self, target: int) -> Reached:
        """:func:`closest` of its ends."""
        return closest(self.ends, target)


def closest(reached: Iterable[Reached], target: int) -> Reached:
    """The one whose value is closest to the target, the first of those that are as close."""
    of_value = [each for each in reached if each.value is not None]
    if not of_value:
        raise Unreachable("nothing that was tried has a value: every setting ran out of memory")
    return min(of_value, key=lambda each: abs((each.value or 0) - target))


def bracket(
    quantity: Quantity, target: int, ladder: Ladder, start: float, known: Mapping[float, int | None] | None = None
) -> Bracket:
    """The two steps of ``ladder`` between which a quantity that grows along it passes ``target``.

    From ``start`` it goes where proportion says, further each time, until it has the target between two steps; then where a
    curve through the values so far says. Memory and parameters are nearly of second order in a width: after three values the
    curve mostly names the answer, and what remains is to try it and its neighbour. Where it is off, the stretch is halved.

    :param known: values at settings that were tried before: they spare evaluations, and change no answer.
    """
    values = {ladder.step(setting): value for setting, value in (known or {}).items()}
    low = max((step for step, value in values.items() if _within(value, target)), default=0)
    high = min((step for step, value in values.items() if step > low and not _within(value, target)), default=ladder.last + 1)
    curves, stride = 0, 1.0  # guesses beyond all values by a curve, and how far those by proportion go
    beside, halve = 1, False
    while high - low > 1:
        stretch, closed = high - low, low > 0 and high <= ladder.last
        curve = _curve(ladder, low, high, values, target)
        guess = curve and _meets(curve, target, ladder, low, high)
        if not values:
            step = ladder.step(start)
        elif not closed and guess is not None and curves < 2:
            step, curves = guess, curves + 1
        elif not closed:
            step, stride = _in_proportion(ladder, low or high, values, target, stride, upwards=low > 0), 2 * stride
        elif guess is None or halve:
            step = (low + high) // 2
        elif low < guess < high:
            step, beside = guess, 1
        else:  # it names an end, which is known: so look beside that end, further each time
            step, beside = (low + beside if guess <= low else high - beside), 2 * beside
        step = min(max(step, low + 1), high - 1)
        value = values[step] = quantity(ladder.setting(step))
        low, high = (step, high) if _within(value, target) else (low, step)
        near = curve is not None and value is not None and abs(curve(ladder.setting(step)) - value) <= _NEAR * value
        halve = closed and not halve and not near and high - low > stretch / 2
    below, above = (Reached(ladder.setting(end), values[end]) if end in values else None for end in (low, high))
    flat = None in (below, above) and len(values) > 1 and len(set(values.values())) == 1
    return Bracket(below, above, flat)


_NEAR = 0.01
"""Of a value: a curve that is not further off is trusted for one guess more."""


def _within(value: int | None, target: int) -> bool:
    return value is not None and value <= target


def _in_proportion(
    ladder: Ladder, step: int, values: Mapping[int, int | None], target: int, stride: float, *, upwards: bool
) -> int:
    """From one end on, where the other is not known."""
    value = values[step]
    ratio = target / value if value else 2.0 if upwards else 0.5
    ratio = max(ratio, 17 / 16) if upwards else min(ratio, 16 / 17)  # where it hardly moves, it has far to go
    return ladder.step(ladder.setting(step) * min(max(ratio**stride, 1 / 16), 16))


_Curve = Callable[[float], float]


def _curve(ladder: Ladder, low: int, high: int, values: Mapping[int, int | None], target: int) -> _Curve | None:
    """A parabola through three values about ``target``, or a power law through two; None where they do not grow."""
    points = {step: value for step, value in values.items() if value}
    ends = [step for step in (low, high) if step in points]
    others = sorted((step for step in points if step not in ends), key=lambda step: abs(points[step] - target))
    used = sorted([*ends, *others][:3])
    at = [(ladder.setting(step), points[step]) for step in used]
    if len(at) < 2 or any(after[1] <= before[1] for before, after in pairwise(at)):
        return None
    if len(at) == 2:
        (x0, y0), (x1, y1) = at
        exponent = math.log(y1 / y0) / math.log(x1 / x0)
        return lambda x: y0 * (x / x0) ** exponent
    (x0, y0), (x1, y1), (x2, y2) = at
    first = (y1 - y0) / (x1 - x0)
    second = ((y2 - y1) / (x2 - x1) - first) / (x2 - x0)
    return lambda x: y0 + (x - x0) * (first + (x - x1) * second)


def _meets(curve: _Curve, target: int, ladder: Ladder, low: int, high: int) -> int | None:
    """The last step at which the curve is within ``target``; None where it does not cross it."""
    below, above = max(low, 1), min(high, ladder.last)
    if low == 0:
        below = max(1, ladder.step(ladder.setting(above) / 16))
    if high > ladder.last:
        above = min(ladder.last, ladder.step(ladder.setting(below) * 16))
    if not curve(ladder.setting(below)) <= target < curve(ladder.setting(above)):
        return None
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if curve(ladder.setting(middle)) <= target else (below, middle)
    return below


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
