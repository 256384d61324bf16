"""One video on disk that has been looked at but not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vdmbench.data.source import CHANNELS, DataError

Annotations = dict[str, np.ndarray]


def _nothing() -> Annotations:
    return {}


@dataclass(frozen=True)
class VideoFile:
    """What a file's header says of the video in it, and how to get at its frames.

    ``read(start, frames)`` gives uint8 (frames, height, width, 3) and raises :class:`DataError` naming the file.
    """

    path: Path
    frames: int
    height: int
    width: int
    read: Callable[[int, int], np.ndarray]
    annotate: Callable[[], Annotations] = field(default=_nothing)
    """What is known of each frame, by name: arrays with one row a frame."""


def of_array(
    path: Path,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    read: Callable[[int, int], np.ndarray],
    annotate: Callable[[], Annotations] = _nothing,
) -> VideoFile:
    """A video that is stored as an array of ``shape`` and ``dtype``.

    Raises:
        DataError: where that is not a video.
    """
    if dtype != np.uint8:
        raise DataError(f"{path} is {dtype}; videos are stored as uint8, 0 to 255")
    if len(shape) != 4 or shape[3] != CHANNELS or 0 in shape:
        raise DataError(f"{path} has shape {tuple(shape)}; a video is (frames, height, width, {CHANNELS})")
    return VideoFile(path, shape[0], shape[1], shape[2], read, annotate)


def check_rows(annotations: Annotations, video: VideoFile) -> Annotations:
    """The annotations as they are, each with one row for each frame.

    Raises:
        DataError: where one has not.
    """
    for name, rows in annotations.items():
        if rows.ndim < 1 or len(rows) != video.frames:
            raise DataError(
                f"{name} of {video.path} has shape {rows.shape}, and the video has {video.frames} frames; "
                "annotations have one row a frame"
            )
    return annotations
