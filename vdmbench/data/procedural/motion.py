"""Straight motion between walls, in closed form of time."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from vdmbench.data.procedural.words import direction_name


def bounced(
    place: Float64[np.ndarray, " axes"], velocity: Float64[np.ndarray, " axes"], radius: float, time: np.ndarray
) -> Float64[np.ndarray, "axes frames"]:
    """Centres at the times ``time``, across and down, in sides of the frame, of what stays ``radius`` away from the walls.

    Bouncing between walls is a straight motion folded to and fro: |((s + span) mod 2 span) - span| runs 0 -> span -> 0.

    Args:
        place: where it is at time 0, 0 to 1 between the walls of each axis.
        velocity: sides of the frame per frame.
    """
    span = 1 - 2 * radius
    travelled = place[:, None] * span + velocity[:, None] * time
    return radius + np.abs((travelled + span) % (2 * span) - span)


def heading(centres: Float64[np.ndarray, "2 2"]) -> str:
    """In which direction the second of two centres lies from the first."""
    (left, right), (top, bottom) = centres
    return direction_name(math.atan2(bottom - top, right - left) / (2 * math.pi))
