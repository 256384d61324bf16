"""Features of many videos on disk, part by part, so that an interrupted measurement goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from vdmbench.metrics.durable import save_tensors
from vdmbench.metrics.extractor import ClipFeatures


class FeatureStore:
    """Parts ``00000.safetensors``, ``00001.safetensors``, ... in one folder, each written whole or not at all.

    Parts cover videos in order without gaps. A torn part (of another file system's making; ours are atomic) ends what is
    trusted: it and what follows are measured again. Without a folder everything stays in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._parts: list[ClipFeatures] = []
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            while (part := self._load(len(self._parts))) is not None:
                self._parts.append(part)

    @property
    def videos(self) -> int:
        """Videos measured so far."""
        return int(self._parts[-1].videos[-1]) + 1 if self._parts else 0

    def append(self, part: ClipFeatures) -> None:
        """Keep the features of the next videos, whose numbers go on from :attr:`videos`."""
        if self.folder is not None:
            save_tensors(
                {"features": part.features, "videos": part.videos, "clip": torch.tensor([part.frames, *part.size])},
                self._path(len(self._parts)),
            )
        self._parts.append(part)

    def all(self) -> ClipFeatures:
        """Everything measured."""
        return ClipFeatures(
            torch.cat([part.features for part in self._parts]),
            torch.cat([part.videos for part in self._parts]),
            self._parts[0].frames,
            self._parts[0].size,
        )

    def _path(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{index:05d}.safetensors"

    def _load(self, index: int) -> ClipFeatures | None:
        if not self._path(index).exists():
            return None
        try:
            part = load_file(self._path(index))
        except SafetensorError:
            return None
        earlier_format = "clip" not in part
        if earlier_format or len(part["videos"]) == 0 or int(part["videos"][0]) != self.videos:
            return None
        frames, rows, columns = part["clip"].tolist()
        return ClipFeatures(part["features"], part["videos"], frames, (rows, columns))
