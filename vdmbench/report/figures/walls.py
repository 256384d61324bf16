"""Moving walls: all variants as columns, the same clips of each below one another, from the same noise; gif or mp4.

The page plays a bare wall, under names that follow its theme. A wall in a file of its own goes into talks and messages, so
it carries its names and is enlarged until they can be read. A gif needs Pillow alone, an mp4 the package ``av``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vdmbench.report.figures.samples import Clips

ROWS = 3
"""Clips of each variant."""
FRAMES_PER_SECOND = 8
LONGEST = 240
"""Frames of a wall; longer clips are shown by as many at most, evenly over their length."""
SMALLEST_TILE = 96
"""Pixels that a named wall gives a clip's shorter side, by whole factors."""
_GAP = 2
_GROUND, _INK = (255, 255, 254), (26, 26, 27)
_SEAM = 128
_H264 = {"crf": "18", "threads": "1", "x264-params": "mbtree=0"}


@dataclass(frozen=True)
class Wall:
    """The clips of one sweep point as the page has them, and as files beside it."""

    clips: Clips
    playing: bytes
    """A bare gif."""
    title: str = ""
    """Where the clips are from: sweep point, and suite and hardware where there are several."""
    files: tuple[Path, ...] = ()
    """With names."""


class MovieUnavailable(ValueError):
    """The mp4 that was asked for cannot be written here; the message says what to install."""


def wall_frames(clips: Clips, *, named: bool = False) -> list[Image.Image]:
    """The frames of a wall in RGB; ``named`` puts the variants' names above the columns, and enlarges the clips."""
    columns = [videos[:ROWS] for videos in clips.rows.values()]
    height, frames = min(map(len, columns)), min(videos.shape[1] for videos in columns)
    factor = max(1, -(-SMALLEST_TILE // min(columns[0].shape[2:4]))) if named else 1
    shown = range(0, frames, -(-frames // LONGEST))
    images = [Image.fromarray(_tiled([videos[:height, frame] for videos in columns])).convert("RGB") for frame in shown]
    if not named:
        return images
    images = [image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST) for image in images]
    head = _names(list(clips.rows), images[0].width, [videos.shape[3] * factor for videos in columns], _GAP * factor)
    return [_below(head, image) for image in images]


def wall_gif(frames: Sequence[Image.Image]) -> bytes:
    """An endless gif. All frames share one palette: a flicker in it is the model's."""
    some = [np.asarray(frames[index]) for index in np.linspace(0, len(frames) - 1, 4).astype(int)]
    palette = Image.fromarray(np.concatenate(some)).quantize(192)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=1000 // FRAMES_PER_SECOND, loop=0)
    return buffer.getvalue()


def wall_mp4(frames: Sequence[Image.Image]) -> bytes:
    """The same as an H.264 mp4 that browsers and slides play; raises :class:`MovieUnavailable` without ``av``."""
    try:
        import av
    except ImportError as error:
        raise MovieUnavailable(f"an mp4 needs the package 'av' ({error}): pip install 'vdmbench[data]', or write gif") from None
    if "libx264" not in av.codecs_available:
        raise MovieUnavailable("this build of 'av' has no H.264 encoder: pip install --upgrade av, or write gif")
    buffer = io.BytesIO()
    width, height = (side + side % 2 for side in frames[0].size)  # 4:2:0 halves both
    # Equal clips give equal bytes: no date, one thread, and without x264's macroblock tree, whose runs differ.
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND), options=_H264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            even = Image.new("RGB", (width, height), _GROUND)
            even.paste(frame)
            container.mux(stream.encode(av.VideoFrame.from_image(even)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _tiled(columns: Sequence[np.ndarray]) -> np.ndarray:
    """(clips, height, width, channels) of each column to one picture, a seam between neighbours."""
    tall = [
        np.concatenate([np.pad(clip, ((0, _GAP), (0, 0), (0, 0)), constant_values=_SEAM) for clip in column])
        for column in columns
    ]
    wide = np.concatenate([np.pad(column, ((0, 0), (0, _GAP), (0, 0)), constant_values=_SEAM) for column in tall], axis=1)
    return wide[:-_GAP, :-_GAP].squeeze()


def _names(labels: Sequence[str], width: int, columns: Sequence[int], gap: int) -> Image.Image:
    """A strip with each name centred above its column, in the largest size that all fit in."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    size = 14
    while size > 7 and any(
        ImageFont.truetype(path, size).getlength(label) > column for label, column in zip(labels, columns, strict=True)
    ):
        size -= 1
    font = ImageFont.truetype(path, size)
    strip = Image.new("RGB", (width, 22), _GROUND)
    pen, left = ImageDraw.Draw(strip), 0
    for label, column in zip(labels, columns, strict=True):
        pen.text((left + column / 2, 11), _shortened(label, font, column), fill=_INK, font=font, anchor="mm")
        left += column + gap
    return strip


def _shortened(label: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A name that would run into the next one ends in an ellipsis."""
    shown = label
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = shown[:-2].rstrip() + "…"
    return shown


def _below(head: Image.Image, image: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (image.width, head.height + image.height), _GROUND)
    whole.paste(head)
    whole.paste(image, (0, head.height))
    return whole
