"""Clips of the training videos that a cell reads: what its generated clips may be copies of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vdmbench.data.loading import stack, windows_of
from vdmbench.data.source import Source
from vdmbench.data.windows import Window, Windows
from vdmbench.engine.real_clips import BATCH, unchanged
from vdmbench.metrics.extractor import ClipFeatures, Origins
from vdmbench.metrics.video_distance import VideoDistance
from vdmbench.suite import CellInputs

MOST = 1024
"""Videos, and clips, that generated ones are held against: some minutes of I3D on a core, once for all cells that read them."""


@dataclass(frozen=True)
class TrainingClips:
    """The training videos read, in ascending order; of procedural and of very large sets the first ones that were."""

    source: Source
    videos: list[int]
    reads: int
    """Clips that training reads, the same ones again included."""

    @classmethod
    def of(cls, inputs: CellInputs, source: Source) -> TrainingClips:
        """Those of a cell that trains on ``source``."""
        windows = windows_of(source, inputs.data.frames)
        reads, most = inputs.train.steps * inputs.train.batch_size, min(MOST, len(source))
        found: set[int] = set()
        for read in range(reads):
            step, position = divmod(read, inputs.train.batch_size)
            found.add(windows.training(inputs.seed, step, position).video)
            if len(found) == most:
                break
        return cls(source, sorted(found), reads)

    def chosen(self, frames: int) -> list[Window]:
        """Clips of ``frames`` frames: of each video that is as long, then further ones, never more than training reads."""
        videos = [video for video in self.videos if self.source.length(video) >= frames]
        if not videos:
            return []
        every = Windows([self.source.length(video) for video in videos], frames)
        clips = every.reference(min(MOST, self.reads, len(every)))
        return [Window(videos[clip.video], clip.start) for clip in clips]

    def features(self, metric: VideoDistance, frames: int, cache: Path | None) -> ClipFeatures | None:
        """What ``metric`` makes of them, where it judges clips of ``frames`` frames; null where no video is as long."""
        span = metric.protocol.span or frames
        clips = self.chosen(span)
        if not clips:
            return None
        videos = self.source.fingerprint()
        batches = (stack(self.source, clips[start : start + BATCH], span) for start in range(0, len(clips), BATCH))
        origins = Origins(*(torch.tensor(column, dtype=torch.long) for column in zip(*clips, strict=True)))
        whole = unchanged(batches, self.source, videos)
        return metric.training(whole, fingerprint=f"{videos}:{span}", origins=origins, cache=cache)
