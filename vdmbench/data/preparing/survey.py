"""What a data set on disk holds, told without reading its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdmbench.data.files.folder import Folder
from vdmbench.data.files.source import FileSource
from vdmbench.data.manifest import Manifest
from vdmbench.data.source import SPLITS, DataError, Source, Split
from vdmbench.data.store.index import INDEX
from vdmbench.data.store.store import Store
from vdmbench.file_tree import file_tree


@dataclass(frozen=True)
class SplitSurvey:
    """One split."""

    videos: int
    shortest: int
    """Frames of its shortest video."""
    longest: int
    labels: Mapping[str, int]
    """Videos of each class."""
    fingerprint: str
    """Of its pixels at their own size."""


@dataclass(frozen=True)
class Survey:
    """A data set."""

    kind: str
    """``store``, ``recording`` (a folder with a manifest) or ``folder``."""
    size: int
    """Height and width of the square frames that it gives where no other size is asked for, in pixels."""
    annotations: tuple[str, ...]
    """Names of what is known of each frame."""
    bytes: int
    """On disk, of all files."""
    origin: Mapping[str, Any]
    """What it was made from, as its index or manifest says."""
    splits: Mapping[Split, SplitSurvey]
    notes: tuple[str, ...] = ()
    """What of the folder is not read, or is read more than once."""


def open_set(path: Path, split: Split, *, frames: int = 1, size: int | None = None) -> Store | Folder:
    """A store or a folder of videos, by default at its own size.

    Raises:
        DataError: where it is neither, or cannot be used.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    source: Store | Folder
    if (path / INDEX).exists():
        source = Store(split=split, frames=frames, size=size or 1, path=path)
    else:
        source = Folder(split=split, frames=frames, size=size or 1, path=path)
    source.size = size or native_size(source)
    return source


def native_size(source: Store | FileSource) -> int:
    """The shorter side of the videos as they are stored."""
    if isinstance(source, Store):
        return source.index.size
    return min(source.videos[0].file.height, source.videos[0].file.width)


def survey(path: Path) -> Survey:
    """Look at a store or a folder of videos.

    Raises:
        DataError: where it cannot be used.
    """
    sources = {split: open_set(path, split) for split in SPLITS}
    first = sources["train"]
    if isinstance(first, Store):
        kind, origin = "store", first.index.origin
    else:
        manifest = Manifest.read(path)
        kind, origin = ("folder", {}) if manifest is None else ("recording", manifest.origin)
    return Survey(
        kind,
        native_size(first),
        tuple(sorted(first.annotations(0, 0, 1))),
        sum(file.stat().st_size for file in file_tree(path).files),
        origin,
        {split: _survey_split(source) for split, source in sources.items()},
        tuple(dict.fromkeys(note for source in sources.values() for note in source.notes)),
    )


def _survey_split(source: Source) -> SplitSurvey:
    lengths = [source.length(index) for index in range(len(source))]
    described = [source.describe(index, 0, 1) for index in range(len(source))]
    return SplitSurvey(
        len(source),
        min(lengths),
        max(lengths),
        dict(Counter(said.label for said in described if said is not None)),
        source.fingerprint(),
    )
