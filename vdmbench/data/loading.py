"""Batches of windows as tensors: of training as a function of the step, of reference clips in their fixed order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vdmbench.data.ahead import in_order
from vdmbench.data.source import CHANNELS, DataError, Description, Source
from vdmbench.data.windows import Window, Windows


class TrainingBatches:
    """Random windows of a source; a batch is a pure function of its step, so that resuming at a step is exact.

    Args:
        source: the videos; :meth:`prefetch` reads them from threads.
        frames: frames of each window.
        batch_size: windows of a batch, on this rank.
        seed: of the windows; the same for all variants under comparison.
        rank: number of this process among those that train together. Rank r draws what one process would have put at
            positions r * batch_size onwards of a batch as large as all ranks' together.

    Raises:
        DataError: where the source holds videos shorter than ``frames``.
    """

    def __init__(self, source: Source, frames: int, batch_size: int, seed: int, *, rank: int = 0) -> None:
        if batch_size < 1 or seed < 0 or rank < 0:
            raise DataError(
                f"batch_size is at least 1, seed and rank at least 0, got batch_size={batch_size}, seed={seed}, rank={rank}"
            )
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.windows = windows_of(source, frames)

    def batch(self, step: int) -> UInt8[Tensor, "batch frames channels height width"]:
        """The batch of ``step``, counted from 0; in pinned memory where there is a CUDA device to copy it to."""
        return stack(self.source, self.chosen(step), self.windows.frames, pinned=torch.cuda.is_available())

    def descriptions(self, step: int) -> list[Description | None]:
        """Class and caption of each clip of that batch, as :meth:`vdmbench.data.source.Source.describe` gives them."""
        return [self.source.describe(window.video, window.start, self.windows.frames) for window in self.chosen(step)]

    def chosen(self, step: int) -> list[Window]:
        """Which frames of which videos the batch of ``step`` holds."""
        if step < 0:
            raise DataError(f"step is at least 0, got {step}")
        first = self.rank * self.batch_size
        return [self.windows.training(self.seed, step, first + position) for position in range(self.batch_size)]

    def prefetch(
        self, start: int, stop: int, *, ahead: int = 2, workers: int = 1
    ) -> Iterator[UInt8[Tensor, "batch frames channels height width"]]:
        """The batches of the steps ``start`` to ``stop`` (excluded), whatever the number of workers.

        ``workers`` threads, each at a batch of its own, keep up to ``ahead`` batches ready or in the making; reading, decoding,
        resizing and rendering do not hold the interpreter's lock. What fails in a thread is raised here; leaving early,
        or dropping the iterator, ends the threads.
        """
        if ahead < 1 or workers < 1:
            raise DataError(f"ahead and workers are at least 1, got ahead={ahead}, workers={workers}")
        return in_order(self.batch, range(start, stop), workers=workers, ahead=max(ahead, workers), name="vdmbench-prefetch")


def reference_clips(
    source: Source, frames: int, count: int, *, batch_size: int = 16
) -> Iterator[UInt8[Tensor, "batch frames channels height width"]]:
    """``count`` clips in the fixed order of :meth:`vdmbench.data.windows.Windows.reference`, in batches, the last one
    perhaps smaller.

    Raises:
        DataError: at once, where the source does not hold so many.
    """
    if batch_size < 1:
        raise DataError(f"batch_size is at least 1, got {batch_size}")
    chosen = windows_of(source, frames).reference(count)
    return (stack(source, chosen[begin : begin + batch_size], frames) for begin in range(0, count, batch_size))


def windows_of(source: Source, frames: int) -> Windows:
    """All windows of ``frames`` frames in ``source``."""
    return Windows([source.length(index) for index in range(len(source))], frames)


def stack(
    source: Source, windows: list[Window], frames: int, *, pinned: bool = False
) -> UInt8[Tensor, "batch frames channels height width"]:
    """Read the windows and stack them, channels before height and width; in pinned memory where asked for."""
    batch = torch.empty((len(windows), frames, CHANNELS, source.size, source.size), dtype=torch.uint8, pin_memory=pinned)
    for clip, window in zip(batch, windows, strict=True):
        clip.copy_(torch.from_numpy(source.clip(window.video, window.start, frames)).permute(0, 3, 1, 2))
    return batch


def to_model_range(video: UInt8[Tensor, "*shape"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "*shape"]:
    """uint8 0 to 255 to float -1 to 1, on the tensor's device: x / 127.5 - 1, computed in float32."""
    return (video.to(torch.float32) / 127.5 - 1).to(dtype)


def to_uint8(video: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Float -1 to 1 to uint8: (x + 1) * 127.5 rounded to the nearest integer, halves to the even one, and cut off at 0 and 255.

    Undoes :func:`to_model_range` exactly (in float32).

    Raises:
        DataError: where a value is not finite, for it would become an arbitrary colour.
    """
    if not torch.isfinite(video).all():
        raise DataError("the video to be quantised holds NaN or infinite values")
    return ((video.to(torch.float32) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
