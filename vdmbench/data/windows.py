"""Which frames of which video: random windows for training, an enumeration of windows for reference.

A training window is a pure function of ``(seed, step, position)``, so it is the same for every variant that a suite compares,
for every number of workers, and after a resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vdmbench.data.source import DataError


class Window(NamedTuple):
    """A run of frames of one video, from frame ``start`` on."""

    video: int
    start: int


class Windows:
    """All runs of ``frames`` consecutive frames within videos of the given lengths.

    Raises:
        DataError: where there is no video, or one shorter than ``frames``.
    """

    def __init__(self, lengths: Sequence[int], frames: int) -> None:
        if len(lengths) == 0:
            raise DataError("there are no videos to take windows from")
        if frames < 1:
            raise DataError(f"a window has at least 1 frame, got {frames}")
        shortest = int(np.argmin(lengths))
        if lengths[shortest] < frames:
            raise DataError(f"video {shortest} has {lengths[shortest]} frames, and windows of {frames} were asked for")
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.frames = frames
        self._ends = np.cumsum(self.lengths - frames + 1)

    def __len__(self) -> int:
        """Number of distinct windows, overlapping ones included."""
        return int(self._ends[-1])

    @property
    def disjoint(self) -> int:
        """Number of windows that share no frame with one another: as many as :meth:`reference` gives before any overlap."""
        return int(np.sum(self.lengths // self.frames))

    def training(self, seed: int, step: int, position: int) -> Window:
        """The window at ``position`` of the batch of ``step``, every window of every video being equally likely.

        Drawn with the counter-based generator Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
        section 3.3), keyed by the seed, with step and position as its counter: no state is carried from draw to draw.
        """
        # The lowest word of the counter counts blocks within one draw, so the position goes into the next.
        bits = np.random.Philox(key=seed, counter=[0, position, step, 0])
        chosen = int(np.random.Generator(bits).random() * len(self))
        video = int(np.searchsorted(self._ends, chosen, side="right"))
        return Window(video, int(chosen - (self._ends[video - 1] if video else 0)))

    def reference(self, count: int) -> list[Window]:
        """The first ``count`` windows of a fixed order: one of each video, then further ones that share no frame with those
        before, and only then overlapping ones, at strides of a half, a quarter, ... of a window.

        Raises:
            DataError: where fewer windows exist.
        """
        if not 1 <= count <= len(self):
            raise DataError(
                f"{count} reference clips of {self.frames} frames were asked for, and {len(self.lengths)} videos "
                f"hold {len(self)} ({self.disjoint} without overlap); ask for fewer or add videos"
            )
        order = self._in_order()
        return [next(order) for _ in range(count)]

    def _in_order(self) -> Iterator[Window]:
        last = self.lengths - self.frames  # the last start that each video allows
        longest = int(last.max())
        stride, coarser = self.frames, 0
        while stride:
            for start in range(0, longest + 1, stride):
                if coarser and any(start % taken == 0 for taken in _strides(self.frames, coarser)):
                    continue  # given already, at a coarser stride
                for video in np.flatnonzero(last >= start):
                    yield Window(int(video), start)
            coarser, stride = stride, stride // 2


def _strides(frames: int, smallest: int) -> list[int]:
    """``frames`` halved again and again, down to ``smallest``."""
    strides = [frames]
    while strides[-1] > smallest:
        strides.append(strides[-1] // 2)
    return strides
