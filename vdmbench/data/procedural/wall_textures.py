"""Grey patterns for walls, each between 0 (a style's dark colour) and 1 (its light one), as image pyramids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64

SIDE = 64
LEVELS = 6  # 64, 32, ... 2 texels
_OVERSAMPLING = 4


@lru_cache(maxsize=1)
def pyramids() -> Float32[np.ndarray, "patterns levels side side"]:
    """Every pattern at every level; level ``l`` fills the upper left ``SIDE >> l`` square of its plane."""
    grid = (np.arange(SIDE * _OVERSAMPLING) + 0.5) / (SIDE * _OVERSAMPLING)
    x, y = np.meshgrid(grid, grid)
    planes = np.zeros((len(PATTERNS), LEVELS, SIDE, SIDE), np.float32)
    for number, pattern in enumerate(PATTERNS):
        level = _halved(_halved(pattern(x, y)))
        for depth in range(LEVELS):
            planes[number, depth, : SIDE >> depth, : SIDE >> depth] = level
            level = _halved(level)
    return planes


def _halved(image: Float64[np.ndarray, "side side"]) -> Float64[np.ndarray, "half half"]:
    """The mean of every 2 x 2 box."""
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def _bricks(x, y):  # type: ignore[no-untyped-def]
    row = np.floor(y * 6)
    along = x * 3 + row % 2 / 2
    joint = (np.abs(y * 6 % 1 - 0.5) > 0.42) | (np.abs(along % 1 - 0.5) > 0.45)
    tint = np.sin(12.9898 * np.floor(along % 3) + 78.233 * row) * 0.15  # no two bricks quite alike
    return np.where(joint, 0.05, 0.75 + tint)


def _stripes(x, y):  # type: ignore[no-untyped-def]
    return 0.5 + 0.5 * np.tanh(6 * np.sin(2 * np.pi * 4 * x))


def _diagonals(x, y):  # type: ignore[no-untyped-def]
    return 0.5 + 0.5 * np.tanh(6 * np.sin(2 * np.pi * 3 * (x + y)))


def _checks(x, y):  # type: ignore[no-untyped-def]
    return (np.floor(4 * x) + np.floor(4 * y)) % 2


def _dots(x, y):  # type: ignore[no-untyped-def]
    return (np.hypot(3 * x % 1 - 0.5, 3 * y % 1 - 0.5) < 0.3).astype(np.float64)


def _rings(x, y):  # type: ignore[no-untyped-def]
    return 0.5 + 0.5 * np.cos(2 * np.pi * 5 * np.hypot(x - 0.5, y - 0.5))


def _planks(x, y):  # type: ignore[no-untyped-def]
    plank = np.floor(4 * y)
    grain = 0.12 * np.sin(2 * np.pi * (3 * x + 0.37 * plank)) + 0.08 * np.sin(2 * np.pi * (y * 24 + np.sin(2 * np.pi * x)))
    return np.where(np.abs(4 * y % 1 - 0.5) > 0.45, 0.0, 0.55 + 0.1 * (-1) ** plank + grain)


def _diamonds(x, y):  # type: ignore[no-untyped-def]
    return (np.abs(2 * x % 1 - 0.5) + np.abs(2 * y % 1 - 0.5) < 0.36).astype(np.float64)


def _panels(x, y):  # type: ignore[no-untyped-def]
    edge = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5))
    return np.where(edge > 0.46, 0.1, np.where(edge > 0.36, 0.9, np.where(edge > 0.32, 0.2, 0.6)))


PATTERNS = (_bricks, _stripes, _diagonals, _checks, _dots, _rings, _planks, _diamonds, _panels)
