"""``manifest.json``: what a recorded data set holds and how it was made, written last, so that its presence means *complete*.

Every video is listed with its hash, so that a changed, torn or exchanged file is found when the set is opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vdmbench.data.source import SPLITS, DataError
from vdmbench.file_digests import digest_of
from vdmbench.whole_file import write_json

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Video:
    """One file of a data set."""

    sha256: str
    """Of the file's bytes."""
    bytes: int
    frames: int


@dataclass(frozen=True)
class Manifest:
    """A data set: its origin, and its videos by path relative to its folder, ``train/`` and ``test/`` included."""

    origin: Mapping[str, Any]
    """What made it: the recorder, every option of it, the package's version."""
    videos: Mapping[str, Video]
    annotations: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files of annotations, ``<name of the annotation>/<name of the video>``: ``actions/train/000000.npy``."""

    def __post_init__(self) -> None:
        of_train = {video.sha256: name for name, video in self.videos.items() if name.startswith("train/")}
        for name, video in self.videos.items():
            if name.startswith("test/") and video.sha256 in of_train:
                raise DataError(f"{name} has the same content as {of_train[video.sha256]}; test videos are never trained on")

    @property
    def content(self) -> str:
        """SHA-256 (hex) of all videos' names and hashes."""
        return digest_of({name: video.sha256 for name, video in self.videos.items()})

    @property
    def label(self) -> str | None:
        """The class of all its videos: the scenario or the game."""
        return next((str(self.origin[said]) for said in ("scenario", "game", "recorder") if said in self.origin), None)

    @property
    def counts(self) -> dict[str, int]:
        """Number of videos in each split."""
        return {split: sum(name.startswith(f"{split}/") for name in self.videos) for split in SPLITS}

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``, atomically."""
        write_json(
            folder / MANIFEST,
            {
                "format": FORMAT,
                "content": self.content,
                "counts": self.counts,
                "origin": dict(self.origin),
                "videos": {name: asdict(video) for name, video in sorted(self.videos.items())},
                "annotations": dict(sorted(self.annotations.items())),
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of ``folder``, or None where there is none.

        Raises:
            DataError: where it cannot be understood, or does not agree with itself.
        """
        path = folder / MANIFEST
        if not path.exists():
            return None
        try:
            stored = json.loads(path.read_bytes())
            if stored["format"] != FORMAT:
                raise DataError(f"{path} has format {stored['format']!r}, and this version of vdmbench reads format {FORMAT}")
            manifest = cls(
                stored["origin"],
                {name: Video(**video) for name, video in stored["videos"].items()},
                dict(stored.get("annotations", {})),
            )
            declared = stored["content"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is not a manifest of a data set ({type(error).__name__}: {error}); "
                "delete it to read the folder without, or record the data set again"
            ) from error
        if declared != manifest.content:
            raise DataError(f"{path} has been edited: its content hash does not fit the videos it lists; record the set again")
        return manifest
