"""A prepared data set: any run of frames of any video is one contiguous read of a memory-mapped file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.resize import fit_square
from vdmbench.data.source import CHANNELS, DataError, Description, Source, Split
from vdmbench.data.store.index import INDEX, Index, Video, file_of
from vdmbench.file_digests import digest_of, digests
from vdmbench.home import expanded


class Store(Source):
    """One split of a store that ``vdmbench data prepare`` made.

    All files are held against the index's hashes when the store is opened, and not again while they stay unchanged.

    Args:
        split, frames, size: as in :class:`vdmbench.data.source.Source`; clips are resized where ``size`` is not the store's.
        path: the store's folder.

    Raises:
        DataError: where a file is missing, cut off or changed, or a video is shorter than ``frames``.
    """

    def __init__(self, *, split: Split, frames: int, size: int, path: Path | str) -> None:
        super().__init__(split=split, frames=frames, size=size)
        self.path = expanded(path)
        self.index = open_index(self.path)
        self.videos = self.index.videos[split]
        if not self.videos:
            raise DataError(f"{self.path} holds no video of the {split} split")
        for video in self.videos:
            if video.frames < frames:
                raise DataError(
                    f"{video.name} in {self.path} has {video.frames} frames, and clips of {frames} frames were asked for"
                )
        names = [None, *self.index.annotations]
        self._arrays = {
            (shard, name): _mapped(self.path / file_of(shard, name))
            for shard in {video.shard for video in self.videos}
            for name in names
        }
        for video in self.videos:
            _check_place(self.path, video, self._arrays[video.shard, None], self.index.size)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({video.label for video in self.videos if video.label}))

    def name(self, index: int) -> str:
        self._check_index(index)
        return self.videos[index].name

    def length(self, index: int) -> int:
        self._check_index(index)
        return self.videos[index].frames

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the split's pixels, descriptions and annotations, however they are sharded, and ``size``; of the
        files as they are now. Raises DataError where they are not what the index lists, or it lists others than were opened."""
        if open_index(self.path) != self.index:
            raise DataError(
                f"{self.path / INDEX} lists other videos than when it was opened: the data set was replaced meanwhile"
            )
        described = {video.name: [video.label, video.caption] for video in self.videos if video.label is not None}
        annotations = {
            video.name: {name: rows_hash(rows) for name, rows in self._annotations(number, 0, video.frames).items()}
            for number, video in enumerate(self.videos)
        }
        return digest_of(
            {
                "source": "Store",
                "split": self.split,
                "size": self.size,
                "stored": self.index.size,
                "content": digest_of({video.name: video.sha256 for video in self.videos}),
                **({"described": digest_of(described)} if described else {}),
                **({"annotations": digest_of(annotations)} if self.index.annotations else {}),
            }
        )

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        clip = self._rows(None, index, start, frames)
        return clip if self.size == self.index.size else np.ascontiguousarray(fit_square(clip, self.size))

    def _describe(self, index: int, start: int, frames: int) -> Description | None:
        return self.videos[index].description

    def _annotations(self, index: int, start: int, frames: int) -> dict[str, np.ndarray]:
        return {name: self._rows(name, index, start, frames) for name in self.index.annotations}

    def _rows(self, name: str | None, index: int, start: int, frames: int) -> np.ndarray:
        video = self.videos[index]
        first = video.start + start
        return np.array(self._arrays[video.shard, name][first : first + frames])


def open_index(folder: Path, *, remember: bool = True) -> Index:
    """The index of a store whose files are all as it lists them; ``remember=False`` reads them anew in any case.

    Raises:
        DataError: naming the file that is not.
    """
    index = Index.read(folder)
    if index is None:
        raise DataError(f"{folder} has no {INDEX}; make it with 'vdmbench data prepare', or go on with one that was cut short")
    for name in index.files:
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}, which {INDEX} lists, is missing; prepare the data set again")
    for name, digest in digests(folder, index.files, remember=remember).items():
        if digest != index.files[name]:
            raise DataError(
                f"{folder / name} is not the file that {INDEX} lists (its hash differs): delete {folder} and "
                "prepare the data set again"
            )
    return index


def pixels_hash(video: UInt8[np.ndarray, "frames height width channels"]) -> str:
    """SHA-256 (hex) of a video's pixels."""
    return hashlib.sha256(np.ascontiguousarray(video).data).hexdigest()


def rows_hash(rows: np.ndarray) -> str:
    """SHA-256 (hex) of an annotation's type, shape and numbers."""
    return hashlib.sha256(f"{rows.dtype.str} {rows.shape}".encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()


def _mapped(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{file} cannot be read ({error}); prepare the data set again") from error


def _check_place(folder: Path, video: Video, shard: np.ndarray, size: int) -> None:
    """An index may have been written by anybody: what it says must lie within the shard."""
    if shard.dtype != np.uint8 or shard.shape[1:] != (size, size, CHANNELS):
        raise DataError(
            f"{folder / file_of(video.shard)} is {shard.dtype} {shard.shape}, and {INDEX} says uint8 frames of {size}x{size}"
        )
    if video.start < 0 or video.frames < 1 or video.start + video.frames > len(shard):
        raise DataError(f"{folder / INDEX} places {video.name} outside of {file_of(video.shard)}; prepare the data set again")
