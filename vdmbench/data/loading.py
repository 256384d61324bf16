"""Batches of windows as tensors: of training as a function of the step, of reference clips in their fixed order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vdmbench.data.source import DataError, Source
from vdmbench.data.windows import Window, Windows


class TrainingBatches:
    """Random windows of a source; a batch is a pure function of its step, so that resuming at a step is exact.

    Args:
        source: the videos; :meth:`prefetch` reads them from a thread of its own.
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
            raise DataError(f"batch_size is at least 1, seed and rank at least 0, got batch_size={batch_size}, seed={seed}, "
                            f"rank={rank}")
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.windows = windows_of(source, frames)

    def batch(self, step: int) -> UInt8[Tensor, "batch frames channels height width"]:
        """The batch of ``step``, counted from 0; in pinned memory where there is a CUDA device to copy it to."""
        if step < 0:
            raise DataError(f"step is at least 0, got {step}")
        first = self.rank * self.batch_size
        chosen = [self.windows.training(self.seed, step, first + position) for position in range(self.batch_size)]
        batch = stack(self.source, chosen, self.windows.frames)
        return batch.pin_memory() if torch.cuda.is_available() else batch

    def prefetch(self, start: int, stop: int, *, ahead: int = 2
                 ) -> Iterator[UInt8[Tensor, "batch frames channels height width"]]:
        """The batches of the steps ``start`` to ``stop`` (excluded), made by a thread that keeps up to ``ahead`` ready.

        What fails in the thread is raised here; leaving the loop early, or dropping the iterator, ends the thread.
        """
        if ahead < 1:
            raise DataError(f"ahead is at least 1, got {ahead}")
        return self._prefetch(start, stop, ahead)

    def _prefetch(self, start: int, stop: int, ahead: int) -> Iterator[Tensor]:
        ready: queue.Queue[Tensor | BaseException] = queue.Queue(maxsize=ahead)
        left = threading.Event()

        def put(item: Tensor | BaseException) -> None:
            while not left.is_set():
                try:
                    return ready.put(item, timeout=0.1)
                except queue.Full:
                    continue

        def produce() -> None:
            try:
                for step in range(start, stop):
                    put(self.batch(step))
                    if left.is_set():
                        return
            except BaseException as error:  # handed to the loop, which raises it
                put(error)

        thread = threading.Thread(target=produce, name="vdmbench-prefetch", daemon=True)
        thread.start()
        try:
            for _ in range(start, stop):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            left.set()
            thread.join()


def reference_clips(source: Source, frames: int, count: int, *, batch_size: int = 16
                    ) -> Iterator[UInt8[Tensor, "batch frames channels height width"]]:
    """``count`` clips in the fixed order of :meth:`vdmbench.data.windows.Windows.reference`, in batches, the last one
    perhaps smaller.

    Raises:
        DataError: at once, where the source does not hold so many.
    """
    if batch_size < 1:
        raise DataError(f"batch_size is at least 1, got {batch_size}")
    chosen = windows_of(source, frames).reference(count)
    return (stack(source, chosen[begin:begin + batch_size], frames) for begin in range(0, count, batch_size))


def windows_of(source: Source, frames: int) -> Windows:
    """All windows of ``frames`` frames in ``source``."""
    return Windows([source.length(index) for index in range(len(source))], frames)


def stack(source: Source, windows: list[Window], frames: int) -> UInt8[Tensor, "batch frames channels height width"]:
    """Read the windows and stack them, channels before height and width."""
    clips = np.stack([source.clip(window.video, window.start, frames) for window in windows])
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).contiguous()


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
