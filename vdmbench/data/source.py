"""What every source of videos answers: how many there are, how long each is, any run of its frames, and a hash of it all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Int, UInt8

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CHANNELS = 3


class DataError(ValueError):
    """Data that cannot be used; the message names the file or option, what is wrong with it, and the remedy."""


class Description(NamedTuple):
    """What a clip shows: ``label``, its class among those of the source, and a ``caption``, a phrase."""

    label: str
    caption: str


class Source(ABC):
    """The videos of one split, as square uint8 colour frames.

    Args:
        split: ``train`` or ``test``; the two never share a video.
        frames: length of the clips that will be asked for; every video has at least as many.
        size: height and width of the frames that :meth:`clip` returns, in pixels.
    """

    def __init__(self, *, split: Split, frames: int, size: int) -> None:
        if split not in SPLITS:
            raise DataError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if frames < 1 or size < 1:
            raise DataError(f"frames and size must be at least 1, got frames={frames}, size={size}")
        self.split: Split = split
        self.frames = frames
        self.size = size

    @abstractmethod
    def __len__(self) -> int:
        """Number of videos."""

    @abstractmethod
    def length(self, index: int) -> int:
        """Frames of video ``index``."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that decides the pixels of this split, and what is told of them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of its videos, sorted; none where videos have no class."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the data set is not read, or is read more than once, a line for each kind; none where all is read once."""
        return ()

    def name(self, index: int) -> str:
        """What video ``index`` is called in messages: a file, where it stands in one."""
        self._check_index(index)
        return f"{self.split}/{index:06d}"

    def clip(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        """Return ``frames`` consecutive frames of video ``index``, from frame ``start`` on.

        Raises:
            DataError: where the video does not exist or does not hold these frames.
        """
        self._check_range(index, start, frames)
        return self._read(index, start, frames)

    def describe(self, index: int, start: int, frames: int) -> Description | None:
        """Class and caption of the clip that :meth:`clip` gives; None where the source knows none."""
        self._check_range(index, start, frames)
        return self._describe(index, start, frames)

    def annotations(self, index: int, start: int, frames: int) -> dict[str, np.ndarray]:
        """What is known of each frame of that clip, by name, one row a frame.

        ``actions``: row t is what was done between frame t and frame t + 1. ``pose``, ``coords``: where frame t was seen from.
        """
        self._check_range(index, start, frames)
        return self._annotations(index, start, frames)

    def revisits(self, index: int, start: int = 0, frames: int | None = None) -> Int[np.ndarray, "pairs 2"]:
        """Pairs (t, t') of frames, t < t', that show the same view, t being the first such frame; none where the source cannot
        know. Of the whole video, or of a clip of ``frames`` frames, counted from its ``start``."""
        frames = self.length(index) - start if frames is None else frames
        self._check_range(index, start, frames)
        return self._revisits(index, start, frames)

    @abstractmethod
    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        """Frames ``start`` to ``start + frames`` of video ``index``; the range has been checked, as in the next three."""

    def _describe(self, index: int, start: int, frames: int) -> Description | None:
        return None

    def _annotations(self, index: int, start: int, frames: int) -> dict[str, np.ndarray]:
        return {}

    def _revisits(self, index: int, start: int, frames: int) -> Int[np.ndarray, "pairs 2"]:
        return np.empty((0, 2), dtype=np.int64)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise DataError(f"the {self.split} split has {len(self)} videos, numbered from 0; there is no video {index}")

    def _check_range(self, index: int, start: int, frames: int) -> None:
        self._check_index(index)
        if start < 0 or frames < 1 or start + frames > self.length(index):
            raise DataError(
                f"video {index} of the {self.split} split has {self.length(index)} frames; "
                f"{frames} from frame {start} on were asked for"
            )


def refuse_changed(source: Source, fingerprint: str) -> None:
    """Hold that ``source`` is still what ``fingerprint``, taken before it was read, names: for whoever keeps what was made of
    it under that name.

    Raises:
        DataError: where videos were replaced, changed or taken away meanwhile.
    """
    try:
        now = source.fingerprint()
    except OSError as error:
        raise DataError(f"the {source.split} videos were changed while they were read ({error}): run it again") from None
    if now != fingerprint:
        raise DataError(
            f"the {source.split} videos were changed while they were read: they were {fingerprint[:8]} and are {now[:8]} now; "
            "run it again once they stay as they are"
        )
