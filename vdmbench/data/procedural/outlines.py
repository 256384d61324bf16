"""Outlines of shapes: signed distances (negative inside) in a shape's own axes, within the unit circle.

A convex polygon is the furthest of its edges' half-planes.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

Plane = Float32[np.ndarray, "frames rows columns"]


def disc(u: Plane, v: Plane) -> Plane:
    return np.hypot(u, v) - np.float32(0.95)


def square(u: Plane, v: Plane) -> Plane:
    """Rounded by 0.2: the distance to a smaller square, less the rounding."""
    x, y = np.abs(u) - np.float32(0.5), np.abs(v) - np.float32(0.5)
    return np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - np.float32(0.2)


def triangle(u: Plane, v: Plane) -> Plane:
    return _regular(u, v, sides=3) - np.float32(0.48)


def hexagon(u: Plane, v: Plane) -> Plane:
    return _regular(u, v, sides=6) - np.float32(0.8)


def ring(u: Plane, v: Plane) -> Plane:
    return np.abs(np.hypot(u, v) - np.float32(0.68)) - np.float32(0.26)


def cross(u: Plane, v: Plane) -> Plane:
    """The union of two bars."""
    x, y = np.abs(u), np.abs(v)
    along, across = np.maximum(x, y), np.minimum(x, y)
    return np.maximum(along - np.float32(0.88), np.maximum(across - np.float32(0.32), -np.float32(1)))


def star(u: Plane, v: Plane) -> Plane:
    """Five points: one edge of a point, folded into every other by symmetry."""
    sector = 2 * math.pi / 5
    radius = np.hypot(u, v)
    folded = np.abs((np.arctan2(v, u) + np.float32(sector / 2)) % np.float32(sector) - np.float32(sector / 2))
    x, y = radius * np.cos(folded), radius * np.sin(folded)
    # The edge runs from the tip (0.98, 0) to the notch at radius 0.42, half a sector on.
    edge_x, edge_y = 0.42 * math.cos(sector / 2) - 0.98, 0.42 * math.sin(sector / 2)
    length = math.hypot(edge_x, edge_y)
    return (x - np.float32(0.98)) * np.float32(edge_y / length) - y * np.float32(edge_x / length)


def _regular(u: Plane, v: Plane, sides: int) -> Plane:
    """How far out the furthest edge normal of a regular polygon reaches."""
    turns = [2 * math.pi * side / sides for side in range(sides)]
    return np.maximum.reduce([np.float32(math.cos(turn)) * u + np.float32(math.sin(turn)) * v for turn in turns])
