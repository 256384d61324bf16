"""Centre crop to a square, then a resize that does not alias.

Resizing without a low-pass filter changes Fréchet distances as much as a model does (Parmar et al. 2022, "On Aliased
Resizing and Surprising Subtleties in GAN Evaluation", section 3), so shrinking averages over exact pixel areas.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from vdmbench.data.compilation import compiled
from vdmbench.data.source import DataError


def fit_square(
    video: UInt8[np.ndarray, "frames height width channels"], size: int
) -> UInt8[np.ndarray, "frames size size channels"]:
    """Bring the shorter side of ``video`` to ``size`` pixels and crop the longer one about its centre.

    Shrinking takes the area average of the pixels that fall under each output pixel (for an integer factor: the plain
    mean of a box), enlarging interpolates linearly. A video that is ``size`` x ``size`` already is returned as it is.

    Raises:
        DataError: where ``size`` is less than 1 or the video is not uint8 with four axes.
    """
    if size < 1:
        raise DataError(f"size must be at least 1, got {size}")
    if video.dtype != np.uint8 or video.ndim != 4:
        raise DataError(f"a video is uint8 (frames, height, width, channels), got {video.dtype} {tuple(video.shape)}")
    frames, height, width, channels = video.shape
    # The scale is the same on both axes, so cropping first is cropping last, with the crop at a whole pixel of the source.
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = video[:, top : top + side, left : left + side]
    if side == size:
        return square

    resized = np.empty((frames, size, size, channels), np.uint8)
    taps = _taps(side, size)
    _resample(resized, np.ascontiguousarray(square), *taps, *taps)
    return resized


def squeeze_square(
    video: UInt8[np.ndarray, "frames height width channels"], size: int
) -> UInt8[np.ndarray, "frames size size channels"]:
    """Bring both sides of ``video`` to ``size`` pixels, each by its own scale: for pictures that nothing may be cropped from,
    such as a game's whole screen."""
    if size < 1:
        raise DataError(f"size must be at least 1, got {size}")
    frames, height, width, channels = video.shape
    resized = np.empty((frames, size, size, channels), np.uint8)
    _resample(resized, np.ascontiguousarray(video), *_taps(width, size), *_taps(height, size))
    return resized


@compiled
def _resample(out, video, left, across, top, down):  # type: ignore[no-untyped-def]
    """Every output pixel is a weighted sum of ``across.shape[1]`` source pixels from ``left`` on, and then of rows likewise."""
    frames, size, _, channels = out.shape
    height = video.shape[1]
    columns = np.empty((height, size, channels), np.float32)
    for frame in range(frames):
        for row in range(height):
            for pixel in range(size):
                for channel in range(channels):
                    total = np.float32(0)
                    for tap in range(across.shape[1]):
                        total += across[pixel, tap] * np.float32(video[frame, row, left[pixel] + tap, channel])
                    columns[row, pixel, channel] = total
        for row in range(size):
            for pixel in range(size):
                for channel in range(channels):
                    total = np.float32(0.5)  # rounds to the nearest integer
                    for tap in range(down.shape[1]):
                        total += down[row, tap] * columns[top[row] + tap, pixel, channel]
                    out[frame, row, pixel, channel] = np.uint8(min(max(total, np.float32(0)), np.float32(255)))


@lru_cache(maxsize=32)
def _taps(source: int, target: int) -> tuple[Int64[np.ndarray, " target"], Float32[np.ndarray, "target taps"]]:
    """First source pixel, and weights of it and the following ones, for every output pixel; weights sum to one.

    Shrinking: the overlap of [i, i + 1) * source / target with each source pixel [j, j + 1), over the former's length.
    Enlarging: a tent of one source pixel about the output pixel's centre, edges repeated.
    """
    scale = source / target
    output, pixels = np.arange(target)[:, None], np.arange(source)[None, :]
    if scale >= 1:
        overlap = np.minimum((output + 1) * scale, pixels + 1) - np.maximum(output * scale, pixels)
        weights = np.maximum(overlap, 0)
    else:
        centres = np.clip((output + 0.5) * scale - 0.5, 0, source - 1)
        weights = np.maximum(1 - np.abs(centres - pixels), 0)
    weights[weights < 1e-9] = 0  # rounding of the edges
    weights /= weights.sum(axis=1, keepdims=True)
    taps = int(np.count_nonzero(weights, axis=1).max())
    first = np.minimum(np.argmax(weights > 0, axis=1), source - taps)
    return first, np.take_along_axis(weights, first[:, None] + np.arange(taps), axis=1).astype(np.float32)
