"""A source whose videos stand in files, whatever the layout."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.files.formats import READING, files_of
from vdmbench.data.files.video_file import VideoFile, check_rows
from vdmbench.data.resize import fit_square
from vdmbench.data.source import DataError, Description, Source, Split
from vdmbench.file_digests import digest_of, digests
from vdmbench.home import expanded


class StoredVideo(NamedTuple):
    """A video of a data set: what it is called there, its file, its class where it has one."""

    name: str
    file: VideoFile
    label: str | None = None


class FileSource(Source):
    """The videos of one split of a data set at ``path``; a subclass says where its layout puts them.

    All videos of a split have one height and width; clips are cropped and resized to ``size``.

    Args:
        split, frames, size: as in :class:`vdmbench.data.source.Source`.
        path: the data set's folder.

    Raises:
        DataError: where there are no videos, or a file cannot be used; the message names it.
    """

    def __init__(self, *, split: Split, frames: int, size: int, path: Path | str) -> None:
        super().__init__(split=split, frames=frames, size=size)
        self.path = expanded(path)
        self.videos = self.find(self.path, split)
        check_alike([video.file for video in self.videos], frames)

    @staticmethod
    @abstractmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        """The videos of ``split``, in an order that never changes."""

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({video.label for video in self.videos if video.label}))

    def name(self, index: int) -> str:
        """The file of video ``index``, relative to the folder."""
        self._check_index(index)
        return self.videos[index].name

    def length(self, index: int) -> int:
        self._check_index(index)
        return self.videos[index].file.frames

    @property
    def notes(self) -> tuple[str, ...]:
        return self.left_out(self.path, self.split)

    @staticmethod
    def left_out(root: Path, split: Split) -> tuple[str, ...]:
        """What stands in the data set's folder and is not read, a line for each kind."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the files of the split's pixels and annotations, of its classes, and of ``size``; a file is read for
        it once as long as it stays unchanged."""
        files = {
            video.name: [file.relative_to(self.path).as_posix() for file in files_of(video.file.path)] for video in self.videos
        }
        beside = {
            video.name: [file.relative_to(self.path).as_posix() for file in video.file.annotation_files]
            for video in self.videos
            if video.file.annotation_files
        }
        names = dict.fromkeys(name for held in (*files.values(), *beside.values()) for name in held)
        of_files = digests(self.path, names)
        content = {
            name: of_files[held[0]] if len(held) == 1 else digest_of({file: of_files[file] for file in held})
            for name, held in files.items()
        }
        annotations = {name: {file: of_files[file] for file in held} for name, held in beside.items()}
        labels = {video.name: video.label for video in self.videos if video.label is not None}
        return digest_of(
            {
                "source": type(self).__name__,
                "reading": READING,
                "split": self.split,
                "size": self.size,
                "content": digest_of(content),
                **({"annotations": digest_of(annotations)} if annotations else {}),
                **({"labels": digest_of(labels)} if labels else {}),
            }
        )

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        return np.ascontiguousarray(fit_square(self.videos[index].file.read(start, frames), self.size))

    def _describe(self, index: int, start: int, frames: int) -> Description | None:
        label = self.videos[index].label
        return None if label is None else Description(label, caption_of(label))

    def _annotations(self, index: int, start: int, frames: int) -> dict[str, np.ndarray]:
        file = self.videos[index].file
        return {name: rows[start : start + frames] for name, rows in check_rows(file.annotate(), file).items()}


def check_alike(videos: list[VideoFile], frames: int) -> None:
    """Hold that all videos are of one size, and of at least ``frames`` frames.

    Raises:
        DataError: naming the first file that is not.
    """
    first = videos[0]
    for video in videos:
        if video.frames < frames:
            raise DataError(f"{video.path} has {video.frames} frames, and clips of {frames} frames were asked for")
        if (video.height, video.width) != (first.height, first.width):
            raise DataError(
                f"{video.path} is {video.height}x{video.width} and {first.path} is {first.height}x{first.width}; "
                "resize them to one size first, for sharpness would differ between videos"
            )


def caption_of(label: str) -> str:
    """A class's name as words: ``ApplyEyeMakeup`` and ``my_way_home`` as ``apply eye makeup`` and ``my way home``."""
    words = "".join(
        f" {letter}" if letter.isupper() and before.islower() else letter
        for before, letter in zip(" " + label, label, strict=False)
    )
    return " ".join(words.replace("_", " ").replace("-", " ").replace("/", ", ").split()).lower()
