"""Videos that are computed when they are read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from vdmbench.data.source import SPLITS, DataError, Source, Split
from vdmbench.file_digests import digest_of


class ProceduralSource(Source):
    """Videos computed from ``(seed, split, index)`` alone, so that nothing is stored and any frame can be asked for.

    Args:
        split, frames, size: as in :class:`Source`.
        seed: another seed is another data set.
        train_videos, test_videos: how many videos each split has.
        video_frames: frames of every video; by default just the ``frames`` of a clip. A longer video begins with the
            frames of the shorter one.
    """

    version: int
    """Raised whenever the same options give other pixels, so that the fingerprint changes with them."""

    def __init__(
        self,
        *,
        split: Split,
        frames: int,
        size: int,
        seed: int = 0,
        train_videos: int = 10_000,
        test_videos: int = 2_048,
        video_frames: int | None = None,
    ) -> None:
        super().__init__(split=split, frames=frames, size=size)
        if seed < 0:
            raise DataError(f"seed must be at least 0, got {seed}")
        if train_videos < 1 or test_videos < 1:
            raise DataError(f"train_videos and test_videos must be at least 1, got {train_videos} and {test_videos}")
        self.video_frames = frames if video_frames is None else video_frames
        if self.video_frames < frames:
            raise DataError(
                f"video_frames is {video_frames}, and clips of {frames} frames were asked for; "
                f"set video_frames to at least {frames}"
            )
        self.seed = seed
        self.videos = train_videos if split == "train" else test_videos

    def __len__(self) -> int:
        return self.videos

    def length(self, index: int) -> int:
        self._check_index(index)
        return self.video_frames

    def fingerprint(self) -> str:
        return digest_of(
            {
                "source": type(self).__name__,
                "version": self.version,
                "split": self.split,
                "size": self.size,
                "seed": self.seed,
                "videos": self.videos,
                "video_frames": self.video_frames,
                **self._options(),
            }
        )

    @abstractmethod
    def _options(self) -> Mapping[str, Any]:
        """The subclass's own options, as they enter the fingerprint."""

    def _generator(self, index: int) -> np.random.Generator:
        """The random stream of one video; the split is part of its key, so no train video shares one with a test video."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(SPLITS.index(self.split), index)))
