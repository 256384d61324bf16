"""Names for colours and directions, for captions."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

_HUES = ("red", "orange", "yellow", "lime", "green", "teal", "cyan", "azure", "blue", "violet", "magenta", "pink")
_DIRECTIONS = ("right", "down and right", "down", "down and left", "left", "up and left", "up", "up and right")


def colour_name(rgb: Sequence[float]) -> str:
    """The name of a colour, 0 to 255: its hue among twelve, or grey."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(float(part) / 255 for part in rgb))
    return _HUES[round(hue * len(_HUES)) % len(_HUES)] if saturation > 0.15 else "grey"


def direction_name(turn: float) -> str:
    """The nearest of eight directions in the picture; ``turn`` is in turns, clockwise from the right."""
    return _DIRECTIONS[round(turn * len(_DIRECTIONS)) % len(_DIRECTIONS)]


def an(thing: str) -> str:
    """``a red disc``, ``an orange disc``."""
    return f"{'an' if thing[0] in 'aeio' else 'a'} {thing}"


def listed(things: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def times(number: int, thing: str) -> str:
    """``one turn``, ``2 turns``."""
    return f"{'one' if number == 1 else number} {thing}{'' if number == 1 else 's'}"
