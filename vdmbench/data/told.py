"""What can be told of clips: their class, their caption, and the actions between their frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.data.source import DataError, Description, Source
from vdmbench.data.windows import Window

NUMBERS = 256
"""That an action can be, where it is one number: a key of a console, a move of a game."""


@dataclass(frozen=True)
class ClipFacts:
    """Of each clip of a list, in its order; what was not asked for is None."""

    labels: list[str] | None = None
    captions: list[str] | None = None
    actions: Int[Tensor, "clips frames"] | Float[Tensor, "clips frames numbers"] | None = None
    """Row t is what was done between frames t and t + 1."""


def facts_of(source: Source, windows: list[Window], frames: int, on: list[str]) -> ClipFacts:
    """What ``on`` names (``label``, ``caption``, ``actions``) of each window.

    Raises:
        DataError: where the source does not know it, saying what to do.
    """
    said = [_described(source, window, frames) for window in windows] if {"label", "caption"} & set(on) else []
    return ClipFacts(
        labels=[each.label for each in said] if "label" in on else None,
        captions=[each.caption for each in said] if "caption" in on else None,
        actions=torch.stack([_actions(source, window, frames) for window in windows]) if "actions" in on else None,
    )


def width_of_actions(source: Source) -> int:
    """Numbers in an action of ``source``; 0 where it is one of ``NUMBERS``. Raises DataError where it has none."""
    actions = _actions(source, Window(0, 0), min(2, source.length(0)))
    return 0 if actions.dim() == 1 else actions.shape[1]


def labels_of(source: Source) -> tuple[str, ...]:
    """The classes of ``source``. Raises DataError where it has none."""
    if not source.labels:
        raise DataError(
            f"source {type(source).__name__} has no classes: put the videos of each class in a folder of its name, below "
            f"{source.split}/, or leave 'label' out of condition.tell"
        )
    return source.labels


def _described(source: Source, window: Window, frames: int) -> Description:
    description = source.describe(window.video, window.start, frames)
    if description is None:
        raise DataError(
            f"{source.name(window.video)} has neither class nor caption: put the videos of each class in a folder of its name, "
            f"below {source.split}/, or leave 'label' and 'caption' out of condition.tell"
        )
    return description


def _actions(source: Source, window: Window, frames: int) -> Tensor:
    known = source.annotations(window.video, window.start, frames)
    if "actions" in known:
        actions = known["actions"]
    elif "pose" in known and known["pose"].shape[1:] == (3,):
        actions = motion_of(known["pose"])
    else:
        raise DataError(
            f"{source.name(window.video)} has neither actions nor a pose for each frame: record them (vdmbench data record), "
            "use data.source maze, or leave 'actions' out of condition.tell"
        )
    if actions.ndim == 1 and np.issubdtype(actions.dtype, np.integer):
        if actions.size and not 0 <= actions.min() <= actions.max() < NUMBERS:
            raise DataError(
                f"actions of {source.name(window.video)} run from {actions.min()} to {actions.max()}: number them from 0 to "
                f"{NUMBERS - 1}, or keep them as vectors of float"
            )
        return torch.from_numpy(actions.astype(np.int64))
    return torch.from_numpy(actions.astype(np.float32).reshape(len(actions), -1))


def motion_of(pose: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 3"]:
    """From each pose (x, y, heading in radians) to the next, as the walker feels it: ahead, aside, turned. The last rests."""
    step, turned = np.diff(pose[:, :2], axis=0), np.diff(pose[:, 2])
    cosine, sine = np.cos(pose[:-1, 2]), np.sin(pose[:-1, 2])
    ahead, aside = cosine * step[:, 0] + sine * step[:, 1], cosine * step[:, 1] - sine * step[:, 0]
    turned = (turned + np.pi) % (2 * np.pi) - np.pi
    return np.concatenate([np.stack([ahead, aside, turned], axis=1), np.zeros((1, 3))])
