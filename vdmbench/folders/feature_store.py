"""Features of many videos on disk, part by part, so that an interrupted measurement goes on where it stopped."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor

from vdmbench.metrics.durable import DamagedTensors, load_sealed, save_sealed
from vdmbench.metrics.extractor import ClipFeatures

_log = logging.getLogger(__name__)


class FeatureStore:
    """Parts ``00000.safetensors``, ``00001.safetensors``, ... in one folder, each written whole or not at all.

    Parts cover clips, each a whole video, in order without gaps. One that is torn or was changed ends what is trusted: it and
    what follows are measured again, and the log says so. Without a folder everything stays in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._parts: list[ClipFeatures] = []
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            while (part := self._load(len(self._parts))) is not None:
                self._parts.append(part)

    @property
    def clips(self) -> int:
        """Clips measured so far."""
        return int(_numbers(self._parts[-1])[-1]) + 1 if self._parts else 0

    def append(self, part: ClipFeatures) -> None:
        """Keep the features of the next clips, whose numbers go on from :attr:`clips`."""
        if self.folder is not None:
            save_sealed({**part.columns(), "clip": torch.tensor([part.frames, *part.size])}, self._path(len(self._parts)))
        self._parts.append(part)

    def all(self) -> ClipFeatures:
        """Everything measured."""
        return ClipFeatures.joined(self._parts)

    def _path(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{index:05d}.safetensors"

    def _load(self, index: int) -> ClipFeatures | None:
        if not self._path(index).exists():
            return None
        try:
            part, _ = load_sealed(self._path(index))
        except DamagedTensors as error:
            _log.warning("%s; features from there on are measured anew", error)
            return None
        if not {"clip", "clips"} <= part.keys() or not len(part["clips"]):
            return None
        frames, rows, columns = part["clip"].tolist()
        loaded = ClipFeatures.of_columns(part, frames, (rows, columns))
        return loaded if int(_numbers(loaded)[0]) == self.clips else None


def _numbers(part: ClipFeatures) -> Tensor:
    assert part.clips is not None, "cut from clips whose numbers are known"
    return part.clips
