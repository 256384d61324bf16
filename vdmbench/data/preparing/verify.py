"""Read all of a data set anew, and say everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt64

from vdmbench.cores import cores
from vdmbench.data.ahead import in_order
from vdmbench.data.files.published import PUBLISHED
from vdmbench.data.files.source import FileSource
from vdmbench.data.manifest import Manifest
from vdmbench.data.preparing.survey import open_set
from vdmbench.data.source import SPLITS, DataError, Split
from vdmbench.data.store.index import INDEX
from vdmbench.data.store.store import Store, open_index, pixels_hash
from vdmbench.file_digests import digests

RUN = 16
"""Frames in a row that two videos do not have in common by chance, as single frames of simple worlds are."""
SHARED = 0.5
"""Share of a test video's frames within such runs of training videos, from which on it counts as a part of them."""


@dataclass
class Verdict:
    """What was read, and what is wrong with it."""

    path: str
    videos: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    content: str | None = None
    """Hash that the index or the manifest states of all files; None where there is neither."""
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


class _Read(NamedTuple):
    name: str
    pixels: str
    frames: UInt64[np.ndarray, " frames"]
    fault: str | None


def verify(path: Path, *, progress: Callable[[int, int], None] | None = None) -> Verdict:
    """Hold every file against its hash, decode every video in full, and look for test videos among the training videos.

    A test video is found in train where it shows the same pixels, or where half of its frames or more stand, :data:`RUN` in a
    row, in training videos: a cut, a shift or another cut-up of one of them.

    Args:
        progress: called with the number of videos read, and that of all.

    Raises:
        DataError: where there is no data set to speak of at ``path``.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    verdict = Verdict(str(path))
    try:
        verdict.content, origin = _hashes(path)
        sources = {split: open_set(path, split) for split in SPLITS}
    except DataError as error:  # nothing behind it can be read with sense
        verdict.faults.append(str(error))
        return verdict
    total, done = sum(len(source) for source in sources.values()), 0
    reads: dict[Split, list[_Read]] = {split: [] for split in SPLITS}
    for split, source in sources.items():
        for read in _read_all(source):
            reads[split].append(read)
            done += 1
            if progress is not None:
                progress(done, total)
        verdict.videos[split] = len(source)
        verdict.frames[split] = sum(len(read.frames) for read in reads[split])
    verdict.faults += [read.fault for split in SPLITS for read in reads[split] if read.fault is not None]
    verdict.faults += [*_miscounted(origin, verdict.videos), *_twice(reads), *_leaked(reads)]
    return verdict


def _hashes(path: Path) -> tuple[str | None, Mapping[str, Any]]:
    """Hold files against their hashes; what all of them hash to, and their origin."""
    if (path / INDEX).exists():
        index = open_index(path, remember=False)
        return index.content, index.origin
    manifest = Manifest.read(path)
    if manifest is None:
        return None, {}
    stated = {**{name: video.sha256 for name, video in manifest.videos.items()}, **manifest.annotations}
    for name in stated:
        if not (path / name).is_file():
            raise DataError(f"{path / name}, which the manifest lists, is missing; record the data set again")
    for name, digest in digests(path, stated, remember=False).items():
        if digest != stated[name]:
            raise DataError(f"{path / name} is not the file that the manifest lists (its hash differs); record it again")
    return manifest.content, manifest.origin


def _read_all(source: Store | FileSource) -> Iterator[_Read]:
    def read(index: int) -> _Read:
        name = f"{source.path}: {source.name(index)}"
        try:
            length = source.length(index)
            pixels = source.clip(index, 0, length)
            source.annotations(index, 0, length)
        except DataError as error:
            return _Read(name, "", np.empty(0, np.uint64), str(error))
        found = pixels_hash(pixels)
        changed = isinstance(source, Store) and found != source.videos[index].sha256
        return _Read(name, found, _frame_hashes(pixels), f"{name} has other pixels than {INDEX} says" if changed else None)

    return in_order(read, range(len(source)), workers=cores(), ahead=2 * cores(), name="vdmbench-verify")


def _frame_hashes(video: np.ndarray) -> UInt64[np.ndarray, " frames"]:
    return np.array([int.from_bytes(hashlib.blake2b(frame.data, digest_size=8).digest()) for frame in video], np.uint64)


def _miscounted(origin: Mapping[str, Any], videos: Mapping[str, int]) -> list[str]:
    published = PUBLISHED.get(str(origin.get("dataset")))
    return (
        [
            f"the {split} split holds {videos[split]} videos, and {published.title} as published has {count}"
            for split, count in (published.videos or {}).items()
            if videos[split] != count
        ]
        if published is not None
        else []
    )


def _twice(reads: Mapping[Split, list[_Read]]) -> list[str]:
    faults = []
    for split, videos in reads.items():
        seen: dict[str, str] = {}
        for read in videos:
            if read.pixels and read.pixels in seen:
                faults.append(f"{read.name} shows the same as {seen[read.pixels]}; the {split} split holds it twice")
            seen.setdefault(read.pixels, read.name)
    return faults


def _leaked(reads: Mapping[Split, list[_Read]]) -> list[str]:
    of_train = {read.pixels: read.name for read in reads["train"] if read.pixels}
    run = min([RUN, *(len(read.frames) for videos in reads.values() for read in videos if read.pixels)])
    runs = np.unique(np.concatenate([_runs(read.frames, run)[0] for read in reads["train"]]))
    faults = []
    for read in reads["test"]:
        shared = _shared(read.frames, runs, run)
        if read.pixels in of_train:
            faults.append(f"{read.name} shows the same as {of_train[read.pixels]}; test videos are never trained on")
        elif shared >= SHARED:
            faults.append(
                f"{read.name} has {shared:.0%} of its frames in common with training videos; test videos are never trained on"
            )
    return faults


def _runs(frames: UInt64[np.ndarray, " frames"], run: int) -> tuple[UInt64[np.ndarray, " runs"], Bool[np.ndarray, " runs"]]:
    """A hash of every ``run`` frames in a row, and whether anything moves in them."""
    if len(frames) < run:
        return np.empty(0, np.uint64), np.empty(0, np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(frames, run)
    weights = np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, run + 1, dtype=np.uint64)  # odd, and wraps around
    return (windows * weights).sum(axis=1, dtype=np.uint64), (windows != windows[:, :1]).any(axis=1)


def _shared(frames: UInt64[np.ndarray, " frames"], runs: UInt64[np.ndarray, " runs"], run: int) -> float:
    """The share of frames that lie in a run which is among ``runs``, and in which something moves."""
    hashes, moving = _runs(frames, run)
    begins = np.flatnonzero(np.isin(hashes, runs) & moving)
    return len(np.unique(begins[:, None] + np.arange(run))) / len(frames) if len(begins) else 0.0
