"""``index.json``: where in which shard each video of a store lies, and what all of it hashes to.

Shards are plain ``.npy`` files, so that any program can read them: uint8 (frames, size, size, 3), one video after the other;
beside each, ``.npy`` files of the same frames' annotations. The index is written last: its presence means *complete*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vdmbench.data.source import SPLITS, DataError, Description, Split
from vdmbench.file_digests import digest_of
from vdmbench.whole_file import write_json

INDEX = "index.json"
FORMAT = 1


@dataclass(frozen=True)
class Video:
    """One video: a run of frames of a shard."""

    name: str
    """What it is called where it came from."""
    shard: str
    """The shard's name, without the suffix."""
    start: int
    """Its first frame in the shard."""
    frames: int
    sha256: str
    """Of its pixels, as they are stored."""
    label: str | None = None
    caption: str | None = None

    @property
    def description(self) -> Description | None:
        return None if self.label is None else Description(self.label, self.caption or self.label)


@dataclass(frozen=True)
class Index:
    """What a store holds.

    Raises:
        DataError: where a test video stands among the training videos, or one name stands twice in a split.
    """

    origin: Mapping[str, Any]
    """What it was made from, and how."""
    size: int
    """Height and width of all frames, in pixels."""
    annotations: tuple[str, ...]
    """Names of what is known of each frame."""
    files: Mapping[str, str]
    """SHA-256 of each file, by name."""
    videos: Mapping[Split, Sequence[Video]]

    def __post_init__(self) -> None:
        of_train = {video.sha256: video.name for video in self.videos["train"]}
        for split, videos in self.videos.items():
            seen: set[str] = set()
            for video in videos:
                if video.name in seen:
                    raise DataError(f"{video.name} is listed twice in the {split} split")
                seen.add(video.name)
                if split == "test" and video.sha256 in of_train:
                    raise DataError(
                        f"test video {video.name} shows the same as training video {of_train[video.sha256]}; "
                        "test videos are never trained on, so take one away"
                    )

    @property
    def content(self) -> str:
        """SHA-256 (hex) of all pixels and annotations."""
        return digest_of(self.files)

    @property
    def counts(self) -> dict[str, int]:
        """Number of videos in each split."""
        return {split: len(self.videos[split]) for split in SPLITS}

    def write(self, folder: Path) -> None:
        """Write ``index.json`` into ``folder``, atomically."""
        write_json(
            folder / INDEX,
            {
                "format": FORMAT,
                "content": self.content,
                "counts": self.counts,
                "size": self.size,
                "origin": dict(self.origin),
                "annotations": list(self.annotations),
                "files": dict(self.files),
                "videos": {split: [asdict(video) for video in videos] for split, videos in self.videos.items()},
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Index | None:
        """The index of ``folder``, or None where there is none.

        Raises:
            DataError: where it cannot be understood, or does not agree with itself.
        """
        path = folder / INDEX
        if not path.exists():
            return None
        try:
            stored = json.loads(path.read_bytes())
            if stored["format"] != FORMAT:
                raise DataError(
                    f"{path} has format {stored['format']!r}, and this version of vdmbench reads format {FORMAT}; "
                    "prepare the data set again"
                )
            index = cls(
                stored["origin"],
                stored["size"],
                tuple(stored["annotations"]),
                stored["files"],
                {split: [Video(**video) for video in stored["videos"][split]] for split in SPLITS},
            )
            declared = stored["content"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is not the index of a store ({type(error).__name__}: {error}); prepare the data set again"
            ) from error
        if declared != index.content:
            raise DataError(f"{path} has been edited: its content hash does not fit the files it lists; prepare the set again")
        return index


def file_of(shard: str, annotation: str | None = None) -> str:
    """Name of a shard's file of pixels, or of an annotation of its frames."""
    return f"{shard}.npy" if annotation is None else f"{shard}.{annotation}.npy"
