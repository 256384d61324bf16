"""Clips as pictures: an animated GIF, and a contact sheet with one row a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import GifImagePlugin, Image

from vdmbench.data.source import DataError

_PAPER = 255  # grey level between the pictures of a grid


def write_gif(
    path: Path | str,
    video: UInt8[np.ndarray, "frames height width channels"],
    *,
    frames_per_second: int | float = 10,
    enlarge: int = 1,
) -> None:
    """Write one video as a GIF that loops for ever.

    GIF counts time in hundredths of a second and colours up to 256: the palette is made for all frames together, so that it
    does not flicker, and is exact where they have no more. Every frame is a picture of its own, like ones too, so that as many
    are read back. To animate a batch, :func:`tile` it first.

    Args:
        enlarge: side of the square that each pixel becomes.
    """
    _check(video, 4)
    if not 0 < frames_per_second <= 50:
        raise DataError(f"frames_per_second must lie between 0 and 50, got {frames_per_second}")
    palette = _palette(video)
    pictures = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in _enlarged(video, enlarge)
    ]
    duration = 10 * max(2, round(100 / frames_per_second))
    # Pillow's own way of saving leaves out a frame that is like the one before it.
    header, _ = GifImagePlugin.getheader(pictures[0], info={"loop": 0, "optimize": False})
    parts = [part for picture in pictures for part in GifImagePlugin.getdata(picture, duration=duration)]
    Path(path).write_bytes(b"".join([*header, *parts, b";"]))


def _palette(video: UInt8[np.ndarray, "frames height width channels"]) -> Image.Image:
    colours = np.unique(video.reshape(-1, 3), axis=0)
    if len(colours) > 256:
        return Image.fromarray(video.reshape(-1, video.shape[2], 3)).quantize(256, method=Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.resize(colours, (256, 3)).tobytes())  # some stand in it again
    return palette


def write_contact_sheet(
    path: Path | str,
    videos: UInt8[np.ndarray, "videos frames height width channels"],
    *,
    every: int = 1,
    gap: int = 2,
    enlarge: int = 1,
) -> None:
    """Write a PNG with one row a video and one column for every ``every``-th of its frames, ``gap`` pixels apart."""
    _check(videos, 5)
    if every < 1:
        raise DataError(f"every must be at least 1, got {every}")
    shown = videos[:, ::every]
    count, columns = shown.shape[:2]
    sheet = tile(shown.reshape(1, count * columns, *shown.shape[2:]).swapaxes(0, 1), columns=columns, gap=gap)[0]
    Image.fromarray(_enlarged(sheet, enlarge)).save(path, format="PNG")


def tile(
    videos: UInt8[np.ndarray, "videos frames height width channels"], *, columns: int | None = None, gap: int = 2
) -> UInt8[np.ndarray, "frames tall wide channels"]:
    """Lay a batch of videos out as one video, row by row, in ``columns`` columns (by default as near to a square as can be)."""
    _check(videos, 5)
    count, frames, height, width, channels = videos.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    if columns < 1 or gap < 0:
        raise DataError(f"columns must be at least 1 and gap at least 0, got columns={columns}, gap={gap}")
    rows = -(-count // columns)
    grid = np.full((frames, rows * (height + gap) - gap, columns * (width + gap) - gap, channels), _PAPER, np.uint8)
    for number, video in enumerate(videos):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        grid[:, top : top + height, left : left + width] = video
    return grid


def _enlarged(pictures: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel repeated to a square of ``factor``; height and width are the two axes before the last."""
    if factor < 1:
        raise DataError(f"enlarge must be at least 1, got {factor}")
    return pictures.repeat(factor, axis=-3).repeat(factor, axis=-2)


def _check(pictures: np.ndarray, axes: int) -> None:
    expected: Sequence[str] = ("videos", "frames", "height", "width", "3")[5 - axes :]
    if pictures.dtype != np.uint8 or pictures.ndim != axes or pictures.shape[-1] != 3 or 0 in pictures.shape:
        raise DataError(f"pictures are uint8 ({', '.join(expected)}), got {pictures.dtype} {tuple(pictures.shape)}")
