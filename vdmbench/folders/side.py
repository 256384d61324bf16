"""The videos of one folder, and their features for several distances from one reading."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data.files.formats import ARRAYS, READING, files_of, find_videos, open_videos
from vdmbench.data.files.video_file import VideoFile
from vdmbench.file_digests import digest_of, digests
from vdmbench.folders.feature_store import FeatureStore
from vdmbench.metrics.controls import EACH_CLIP
from vdmbench.metrics.controls import VERSION as CONTROLS_VERSION
from vdmbench.metrics.extractor import ClipFeatures, Extractor, Origins, cut_features
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.video import InvalidVideo, ValueRange, quantise

PART = 32  # videos between two writes: what an interruption costs at most
STACK_BYTES = 256 * 2**20  # of video held at once
Progress = Callable[[str, int, int], None]
"""Called with what is being measured, videos done and videos in all."""


@dataclass(frozen=True)
class Measure:
    """What is computed of each video, and how videos are cut for it."""

    extractor: Extractor
    protocol: Protocol


class Side:
    """The videos of a folder, or a seeded choice of ``limit`` of them.

    Args:
        name: what it is called in progress and messages.
        value_range: of floating-point arrays.
        seed: of the choice and of controls.
        cache: folder that features are kept in; None keeps them nowhere.
        copies_are_one: files of one content are one video; without it each file is its own.

    Raises:
        DataError: where a file cannot be used, or there is none.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        limit: int | None,
        value_range: ValueRange,
        seed: int,
        cache: Path | None,
        progress: Progress | None,
        *,
        copies_are_one: bool,
    ) -> None:
        self.name, self.folder, self.value_range, self.seed = name, folder, value_range, seed
        self.cache, self.progress, self.control = cache, progress, None
        found = find_videos(folder)
        self.notes = found.notes
        self.videos: list[VideoFile] = [
            video for path in found.videos for video in open_videos(path, floats=value_range != "uint8")
        ]
        self.found = len(self.videos)
        if limit is not None and limit < len(self.videos):
            chosen = sorted(random.Random(seed).sample(range(len(self.videos)), limit))
            self.videos = [self.videos[i] for i in chosen]
        self.contents = self._contents()
        self.copies = len(self.videos) - len(set(self.contents))
        numbers = {content: number for number, content in enumerate(dict.fromkeys(self.contents))}
        self.numbers = [numbers[content] for content in self.contents] if copies_are_one else list(range(len(self.videos)))
        """Of each video; equal where files are copies of one another."""
        self.shape: tuple[int, ...] = ()

    def only(self, chosen: list[int], control: str) -> Side:
        """The videos at these places after a control."""
        side = Side.__new__(Side)
        side.__dict__ |= self.__dict__ | {"name": f"{self.name}, {control}", "control": control}
        for column in ("videos", "contents", "numbers"):
            setattr(side, column, [getattr(self, column)[place] for place in chosen])
        return side

    def measure(self, measures: Sequence[Measure]) -> list[ClipFeatures]:
        """Features for each measure; videos whose features are stored for all of them are not read."""
        stores = [FeatureStore(self._place(measure.protocol)) for measure in measures]
        self.shape = tuple(self._read(0).shape)
        origins = Origins(torch.tensor(self.numbers), torch.zeros(len(self.numbers), dtype=torch.long))
        for first, batch in self._batches(min(store.clips for store in stores)):
            for measure, store in zip(measures, stores, strict=True):
                fresh = batch[max(store.clips - first, 0) :]  # the rest is kept from the last time
                if len(fresh):
                    store.append(cut_features(measure.extractor, fresh, measure.protocol, origins, store.clips))
            if self.progress:
                self.progress(self.name, first + len(batch), len(self.videos))
        return [store.all() for store in stores]

    def _contents(self) -> list[str]:
        """What each video is, whatever it is called and wherever it lies."""
        files = [[file.relative_to(self.folder).as_posix() for file in files_of(video.path)] for video in self.videos]
        found = digests(self.folder, dict.fromkeys(name for names in files for name in names))
        return [
            digest_of([[found[name] for name in names], video.entry]) for video, names in zip(self.videos, files, strict=True)
        ]

    def _place(self, protocol: Protocol) -> Path | None:
        """Where features under a protocol are kept: named by all that they depend on."""
        if self.cache is None:
            return None
        depends_on = {
            "protocol": protocol.digest(),
            "reading": READING,
            "videos": self.contents,
            "numbers": self.numbers,
            "value_range": self.value_range,
            "control": self.control and [self.control, CONTROLS_VERSION, self.seed],
        }
        return self.cache / digest_of(depends_on)[:40]

    def _batches(self, start: int) -> Iterator[tuple[int, Tensor]]:
        """Stacks of videos from number ``start`` on, with the number of their first."""
        size = max(1, min(PART, STACK_BYTES // math.prod(self.shape)))
        for first in range(start, len(self.videos), size):
            stack = []
            for index in range(first, min(first + size, len(self.videos))):
                video = self._read(index)
                if video.shape != self.shape:
                    raise InvalidVideo(
                        f"{self.videos[index]}: is {tuple(video.shape)} where the first video is {self.shape} "
                        "(frames 3 height width): cut and resize alike"
                    )
                stack.append(self._damaged(video, index))
            yield first, torch.stack(stack)

    def _read(self, index: int) -> UInt8[Tensor, "frames 3 height width"]:
        video = self.videos[index]
        frames = torch.from_numpy(video.read(0, video.frames))
        # Movies and pictures are of 8 bits; of an array somebody has declared what its numbers are.
        declared = self.value_range if video.path.suffix.lower() in ARRAYS else "uint8"
        try:
            return quantise(frames, declared).permute(0, 3, 1, 2)
        except InvalidVideo as cause:
            raise InvalidVideo(f"{video}: {cause}") from cause

    def _damaged(self, video: Tensor, index: int) -> Tensor:
        """The video after this side's control, the same in every run."""
        if self.control is None:
            return video
        return EACH_CLIP[self.control](video[None], torch.Generator().manual_seed(self.seed * 1_000_003 + index))[0]
