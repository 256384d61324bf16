"""Write a store shard by shard, each whole or not there; what an interruption leaves is kept, and writing goes on behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.resumable import begin
from vdmbench.data.source import SPLITS, DataError, Description, Split
from vdmbench.data.store.index import INDEX, Index, Video, file_of
from vdmbench.data.store.store import pixels_hash
from vdmbench.whole_file import whole_file, write_json

PREPARING = "preparing.json"
SHARD_BYTES = 256 * 2**20  # of pixels, at which a shard is full: what an interruption costs at most


class _Waiting(NamedTuple):
    video: Video
    pixels: np.ndarray
    annotations: Mapping[str, np.ndarray]


class StoreWriter:
    """Takes the videos of a store in their order, and writes it.

    Args:
        folder: new, empty, or holding what an interrupted writer with the same ``origin`` left.
        origin: what the store is made from, and how.
        size: height and width of all frames.
        shard_bytes: of pixels, at which a shard is full; a single video may be larger.

    Raises:
        DataError: where ``folder`` holds something else, or was begun otherwise.
    """

    def __init__(self, folder: Path, origin: Mapping[str, Any], size: int, *, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.origin, self.size, self.shard_bytes = folder, dict(origin), size, shard_bytes
        self.finished = Index.read(folder)
        begin(
            folder,
            PREPARING,
            {**self.origin, "size": size, "shard_bytes": shard_bytes},
            finished=None
            if self.finished is None
            else {**self.finished.origin, "size": self.finished.size, "shard_bytes": shard_bytes},
            done=INDEX,
        )
        self._files: dict[str, str] = {}
        self._videos: dict[Split, list[Video]] = {split: [] for split in SPLITS}
        self._shards = {split: 0 for split in SPLITS}
        self._annotations: dict[str, tuple[str, tuple[int, ...]]] | None = None
        self._waiting: list[_Waiting] = []
        self._split: Split = SPLITS[0]
        if self.finished is None:
            for split in SPLITS:
                self._recall(split)

    def kept(self, split: Split) -> int:
        """How many videos of the split, from the first on, are written already."""
        return len((self.finished.videos if self.finished is not None else self._videos)[split])

    def add(
        self,
        split: Split,
        name: str,
        pixels: UInt8[np.ndarray, "frames size size 3"],
        *,
        description: Description | None = None,
        annotations: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Take the next video; those of a split come one after the other.

        Raises:
            DataError: where its frames have another size, or its annotations are not those of the others.
        """
        if pixels.shape[1:3] != (self.size, self.size):
            raise DataError(f"{name} is {pixels.shape[1]}x{pixels.shape[2]}, and this store holds {self.size}x{self.size}")
        rows = dict(annotations or {})
        self._check_annotations(name, len(pixels), rows)
        if split != self._split or sum(waiting.pixels.nbytes for waiting in self._waiting) + pixels.nbytes > self.shard_bytes:
            self._flush()
            self._split = split
        start = sum(waiting.video.frames for waiting in self._waiting)
        self._waiting.append(
            _Waiting(
                Video(
                    name,
                    self._shard_name(split),
                    start,
                    len(pixels),
                    pixels_hash(pixels),
                    *(description if description is not None else (None, None)),
                ),
                pixels,
                rows,
            )
        )

    def finish(self) -> Index:
        """Write what waits, and the index.

        Raises:
            DataError: where a split is empty, or a test video stands among the training videos.
        """
        if self.finished is not None:
            self._tidy()
            return self.finished
        self._flush()
        for split in SPLITS:
            if not self._videos[split]:
                raise DataError(f"the {split} split of {self.folder} would be empty; a store holds both")
        index = Index(self.origin, self.size, tuple(self._annotations or ()), self._files, self._videos)
        index.write(self.folder)
        self._tidy()
        return index

    def _tidy(self) -> None:
        """Take away what only an unfinished store needs."""
        for leftover in [self.folder / PREPARING, *self.folder.glob("*-*.json")]:
            leftover.unlink(missing_ok=True)

    def _shard_name(self, split: Split) -> str:
        return f"{split}-{self._shards[split]:05d}"

    def _flush(self) -> None:
        if not self._waiting:
            return
        shard, waiting = self._shard_name(self._split), self._waiting
        arrays = {file_of(shard): [item.pixels for item in waiting]}
        for annotation in self._annotations or ():
            arrays[file_of(shard, annotation)] = [item.annotations[annotation] for item in waiting]
        files = {name: _write_rows(self.folder / name, parts) for name, parts in arrays.items()}
        # Last, so that a shard of which this is there is whole.
        write_json(
            self.folder / f"{shard}.json",
            {"files": files, "videos": [asdict(item.video) for item in waiting], "annotations": self._annotations},
        )
        self._keep(self._split, files, [item.video for item in waiting])
        self._waiting = []

    def _keep(self, split: Split, files: Mapping[str, str], videos: list[Video]) -> None:
        self._files |= files
        self._videos[split] += videos
        self._shards[split] += 1

    def _recall(self, split: Split) -> None:
        """Go on behind the shards that are there."""
        while (note := self.folder / f"{self._shard_name(split)}.json").exists():
            try:
                stored = json.loads(note.read_bytes())
                videos = [Video(**video) for video in stored["videos"]]
                self._annotations = {name: (dtype, tuple(shape)) for name, (dtype, shape) in stored["annotations"].items()}
                self._keep(split, stored["files"], videos)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{note} cannot be read ({error}); delete {self.folder} and prepare the data set again"
                ) from error

    def _check_annotations(self, name: str, frames: int, rows: Mapping[str, np.ndarray]) -> None:
        for annotation, array in rows.items():
            if len(array) != frames or array.dtype.hasobject:
                raise DataError(
                    f"{annotation} of {name} is {array.dtype} {array.shape}, and the video has {frames} frames; "
                    "annotations are numbers, one row a frame"
                )
        found = {annotation: (array.dtype.str, array.shape[1:]) for annotation, array in sorted(rows.items())}
        if self._annotations is None:
            self._annotations = found
        elif found != self._annotations:
            raise DataError(
                f"{name} has the annotations {found or 'none'}, and those before it {self._annotations or 'none'}; "
                "all videos of a data set have the same"
            )


def _write_rows(file: Path, parts: list[np.ndarray]) -> str:
    """Write the parts one after the other as one ``.npy``, whole or not at all; returns the SHA-256 (hex) of the file."""
    first = parts[0]
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (sum(len(part) for part in parts), *first.shape[1:]),
    }
    with whole_file(file) as opened:
        hashing = _Hashing(opened)
        np.lib.format.write_array_header_1_0(hashing, header)
        for part in parts:
            hashing.write(np.ascontiguousarray(part).data)
    return hashing.digest.hexdigest()


class _Hashing:
    """Hashes what passes through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return self._file.write(data)
