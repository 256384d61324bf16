"""The decay of averaged weights, and what a training's length makes of it."""

from __future__ import annotations

from functools import lru_cache


def ema_decay(declared: float, step: int) -> float:
    """Decay of a warm-up after ``step`` steps (from 0): min(declared, (1 + n) / (10 + n)).

    As in TensorFlow's ExponentialMovingAverage with ``num_updates`` and diffusers' EMAModel.
    """
    return min(declared, (1 + step) / (10 + step))


@lru_cache(maxsize=256)
def initial_share(declared: float, steps: int, *, warm_up: bool) -> float:
    """How much of the average after ``steps`` steps is the initial weights, which nothing has trained."""
    if not warm_up:
        return declared**steps
    share = 1.0
    for step in range(steps):
        share *= ema_decay(declared, step)
        if share < 1e-9:
            return 0.0
    return share
