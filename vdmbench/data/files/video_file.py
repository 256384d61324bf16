"""One video on disk that has been looked at but not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vdmbench.data.source import DataError

Annotations = dict[str, np.ndarray]


def _nothing() -> Annotations:
    return {}


@dataclass(frozen=True)
class VideoFile:
    """What a file's header says of the video in it, and how to get at its frames.

    ``read(start, frames)`` gives (frames, height, width, 3) of ``dtype`` and raises :class:`DataError` naming the file.
    """

    path: Path
    frames: int
    height: int
    width: int
    read: Callable[[int, int], np.ndarray]
    annotate: Callable[[], Annotations] = field(default=_nothing)
    """What is known of each frame, by name: arrays with one row a frame."""
    annotation_files: tuple[Path, ...] = ()
    """What these are read from, beside the video's own file."""
    dtype: np.dtype[Any] = field(default=np.dtype(np.uint8))
    """uint8, 0 to 255; of arrays perhaps floating-point numbers, whose range the file does not say."""
    entry: int | None = None
    """Its number, where the file holds several videos."""

    def __str__(self) -> str:
        return str(self.path) if self.entry is None else f"{self.path}[{self.entry}]"


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
