"""Real clips to judge against: two sets of the test split that share no video.

The first is what generated clips are compared with; the second says what real clips get in place of generated ones, and is
spoilt on purpose for the controls. Test videos are never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data.loading import stack
from vdmbench.data.source import DataError, Source, refuse_changed
from vdmbench.data.windows import Window, Windows
from vdmbench.metrics.extractor import Origins
from vdmbench.metrics.reference import Reference
from vdmbench.metrics.video_distance import VideoDistance

BATCH = 16


@dataclass(frozen=True)
class RealClips:
    """Windows of the test split, in two sets."""

    source: Source
    frames: int
    real: list[Window]
    held_out: list[Window]

    def batches(self, windows: list[Window]) -> Iterator[UInt8[Tensor, "batch frames channels height width"]]:
        """Read the windows, a batch at a time."""
        return (stack(self.source, windows[start : start + BATCH], self.frames) for start in range(0, len(windows), BATCH))

    def origins(self, windows: list[Window]) -> Origins:
        """Which test video each window was cut from, and where: those of one video are no independent evidence."""
        return Origins(*(torch.tensor(column, dtype=torch.long) for column in zip(*windows, strict=True)))

    def fingerprint(self) -> str:
        """Names the pixels of both sets."""
        return self._named(self.source.fingerprint())

    def _named(self, videos: str) -> str:
        return f"{videos}:{self.frames}:{len(self.real)}:{len(self.held_out)}"

    def notes(self) -> list[str]:
        """Where a set has more clips than there is independent evidence: how much of it there is."""
        notes = []
        for name, windows in (("real", self.real), ("held-out", self.held_out)):
            origins = self.origins(windows)
            distinct, videos = origins.distinct(self.frames), len(origins.videos.unique())
            if distinct < len(windows):
                notes.append(
                    f"{len(windows):,} {name} clips of {self.frames} frames overlap: {videos:,} test videos hold {distinct:,} "
                    "distinct ones; distances rest on so many"
                )
        return notes

    def reference(self, metric: VideoDistance, cache: Path | None) -> Reference:
        """What ``metric`` makes of both sets, measured now or found in ``cache``. Raises DataError where videos change as it is
        measured, and then keeps nothing."""
        videos = self.source.fingerprint()
        return metric.reference(
            unchanged(self.batches(self.real), self.source, videos),
            unchanged(self.batches(self.held_out), self.source, videos),
            fingerprint=self._named(videos),
            real_origins=self.origins(self.real),
            held_out_origins=self.origins(self.held_out),
            cache=cache,
        )


def unchanged(batches: Iterator[Tensor], source: Source, fingerprint: str) -> Iterator[Tensor]:
    """The batches; and once the last is read, DataError where ``source`` is not what ``fingerprint`` names any more."""
    yield from batches
    refuse_changed(source, fingerprint)


def choose_real_clips(source: Source, frames: int, *, real: int, held_out: int) -> RealClips:
    """``real`` windows of the even-numbered test videos and ``held_out`` of the odd-numbered ones, in a fixed order.

    :raises DataError: the test split has one video only, or too few windows of so many frames.
    """
    if len(source) < 2:
        raise DataError(
            f"the {source.split} split has {len(source)} video; distances need two sets that share none, "
            "so record or prepare at least two test videos"
        )

    def windows(first: int, count: int) -> list[Window]:
        videos = range(first, len(source), 2)
        chosen = Windows([source.length(video) for video in videos], frames).reference(count)
        return [Window(videos[window.video], window.start) for window in chosen]

    return RealClips(source, frames, windows(0, real), windows(1, held_out))
