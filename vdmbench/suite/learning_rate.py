"""The learning rate of each step: a linear warm-up, then constant or falling along a cosine."""

from __future__ import annotations

import math

from vdmbench.suite.blocks import Train


def warm_up_steps(train: Train) -> int:
    """Steps of the warm-up of the learning rate; a share of all steps is rounded up."""
    declared = train.learning_rate_warm_up
    return int(declared) if declared >= 1 else math.ceil(declared * train.steps)


def learning_rate(train: Train, step: int) -> float:
    """Of the step that follows ``step`` steps (from 0); it depends on nothing else, so that a run goes on exactly.

    Linear warm-up over w steps: (n + 1) / w of the declared rate (Goyal et al. 2017, arXiv 1706.02677, sec. 2.2). Then
    constant, or a cosine from the declared rate to its share ``min_learning_rate`` at the end (Loshchilov and Hutter 2017,
    arXiv 1608.03983, eq. 5, without restarts).
    """
    warm_up = warm_up_steps(train)
    if step < warm_up:
        return train.learning_rate * (step + 1) / warm_up
    if train.schedule == "constant":
        return train.learning_rate
    progress = min(1.0, (step - warm_up) / (train.steps - warm_up))
    share = train.min_learning_rate + (1 - train.min_learning_rate) * 0.5 * (1 + math.cos(math.pi * progress))
    return train.learning_rate * share
