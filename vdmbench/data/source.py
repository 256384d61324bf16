"""What every source of videos answers: how many there are, how long each is, any run of its frames, and a hash of it all."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import UInt8

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CHANNELS = 3


class DataError(ValueError):
    """Data that cannot be used; the message names the file or option, what is wrong with it, and the remedy."""


class Source(ABC):
    """The videos of one split, as square uint8 colour frames.

    Args:
        split: ``train`` or ``test``; the two never share a video.
        frames: length of the clips that will be asked for; every video has at least as many.
        size: height and width of the frames that :meth:`clip` returns, in pixels.
    """

    def __init__(self, *, split: Split, frames: int, size: int) -> None:
        if split not in SPLITS:
            raise DataError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if frames < 1 or size < 1:
            raise DataError(f"frames and size must be at least 1, got frames={frames}, size={size}")
        self.split: Split = split
        self.frames = frames
        self.size = size

    @abstractmethod
    def __len__(self) -> int:
        """Number of videos."""

    @abstractmethod
    def length(self, index: int) -> int:
        """Frames of video ``index``."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that decides the pixels of this split."""

    @abstractmethod
    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        """Frames ``start`` to ``start + frames`` of video ``index``; the range has been checked."""

    def clip(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        """Return ``frames`` consecutive frames of video ``index``, from frame ``start`` on.

        Raises:
            DataError: where the video does not exist or does not hold these frames.
        """
        self._check_index(index)
        if start < 0 or frames < 1 or start + frames > self.length(index):
            raise DataError(f"video {index} of the {self.split} split has {self.length(index)} frames; "
                            f"{frames} from frame {start} on were asked for")
        return self._read(index, start, frames)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise DataError(f"the {self.split} split has {len(self)} videos, numbered from 0; there is no video {index}")


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

    def __init__(self, *, split: Split, frames: int, size: int, seed: int = 0, train_videos: int = 10_000,
                 test_videos: int = 2_048, video_frames: int | None = None) -> None:
        super().__init__(split=split, frames=frames, size=size)
        if seed < 0:
            raise DataError(f"seed must be at least 0, got {seed}")
        if train_videos < 1 or test_videos < 1:
            raise DataError(f"train_videos and test_videos must be at least 1, got {train_videos} and {test_videos}")
        self.video_frames = frames if video_frames is None else video_frames
        if self.video_frames < frames:
            raise DataError(f"video_frames is {video_frames}, and clips of {frames} frames were asked for; "
                            f"set video_frames to at least {frames}")
        self.seed = seed
        self.videos = train_videos if split == "train" else test_videos

    def __len__(self) -> int:
        return self.videos

    def length(self, index: int) -> int:
        self._check_index(index)
        return self.video_frames

    def fingerprint(self) -> str:
        return fingerprint_of({"source": type(self).__name__, "version": self.version, "split": self.split, "size": self.size,
                               "seed": self.seed, "videos": self.videos, "video_frames": self.video_frames, **self._options()})

    @abstractmethod
    def _options(self) -> Mapping[str, Any]:
        """The subclass's own options, as they enter the fingerprint."""

    def _generator(self, index: int) -> np.random.Generator:
        """The random stream of one video; the split is part of its key, so no train video shares one with a test video."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(SPLITS.index(self.split), index)))


def fingerprint_of(declared: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of ``declared``."""
    return hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
