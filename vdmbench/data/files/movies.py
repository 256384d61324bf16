"""Videos in mp4, webm, avi and their kin, decoded by PyAV (FFmpeg's libraries).

Frames come out as a player shows them: turned, with square pixels, in 8 bits a colour. What a player would do and this does not
(tone mapping, deinterlacing, choosing between streams) is refused by name; docs/data.md has the table.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vdmbench.data.files.shown_frame import Shown, shown
from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError

_PICTURES = ("attached_pic", "timed_thumbnails", "still_image")
"""Dispositions of a stream that is a cover or a preview, and no video."""
_UNEVEN = 1.5
"""A step from frame to frame that is that many times the usual one."""


@dataclass(frozen=True)
class _Timeline:
    """Presentation times of all frames, in order, in the stream's unit; None where the container does not keep them."""

    frames: int
    times: list[int] | None


def open_movie(path: Path) -> VideoFile:
    """Count the frames and decode the first; a clip is decoded from the key frame before it.

    Raises:
        DataError: where the file is cut off, holds no video or one that cannot be shown as it was meant, or PyAV is not
            installed.
    """
    with _opened(path) as (container, stream):
        packets, first = _packets(container, stream)
        timeline = _timeline(path, packets, stream)
        if first is None:
            raise DataError(f"{path} holds no frame that can be decoded; it is cut off or damaged, fetch or write it again")
        look = shown(path, stream, first)
    return VideoFile(path, timeline.frames, *look.size, lambda start, frames: _decode(path, timeline, look, start, frames))


def _decoder() -> ModuleType:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise DataError(
            f"reading movies needs PyAV, which cannot be imported ({error}); pip install 'vdmbench[data]'"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    av = _decoder()
    try:
        # By protocol, for FFmpeg would take '2024-05-01T10:20/a.mp4' for one; and no file may name another one to be read.
        with av.open(f"file:{path}", metadata_errors="replace", container_options={"protocol_whitelist": "file"}) as container:
            streams = [stream for stream in container.streams.video if not _is_picture(stream)]
            if not streams:
                what = "a picture and no video stream" if container.streams.video else "no video stream"
                raise DataError(f"{path} holds {what}; give a file with one, or take it away")
            if len(streams) > 1:
                raise DataError(
                    f"{path} holds {len(streams)} video streams, and nothing says which is meant; "
                    "copy one of them to a file of its own (ffmpeg -map 0:v:0)"
                )
            stream = streams[0]
            stream.thread_type = "NONE"  # many videos are read at once, and small ones gain nothing
            yield container, stream
    except av.error.FFmpegError as error:
        raise DataError(
            f"{path} cannot be decoded ({error.strerror or error}): it is cut off or damaged; fetch or write it again"
        ) from error


def _is_picture(stream: Any) -> bool:
    return any(flag.name in _PICTURES and flag & stream.disposition for flag in type(stream.disposition))


def _packets(container: Any, stream: Any) -> tuple[list[Any], Any]:
    """All packets of a stream, and its first frame, decoded."""
    packets, first = [], None
    for packet in container.demux(stream):  # the last one is empty, and makes the decoder give what it holds back
        if packet.size:
            packets.append(packet)
        if first is None:
            first = next(iter(packet.decode()), None)
    return packets, first


def _timeline(path: Path, packets: list[Any], stream: Any) -> _Timeline:
    # A container that was cut off within its data still says in its head how much there was.
    if len(packets) < stream.frames or any(packet.is_corrupt for packet in packets):
        raise DataError(
            f"{path} is cut off: it holds {len(packets)} of the {stream.frames or 'promised'} frames that its "
            "header names; fetch or write it again"
        )
    packets = [packet for packet in packets if not packet.is_discard]  # left out by an edit list, and by the decoder
    if not packets:
        raise DataError(f"{path} holds no frame; it is cut off or damaged")
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    declared = _declared_seconds(stream)
    if len(times) != len(packets) or len(set(times)) != len(times):
        return _Timeline(len(packets), None)
    if declared is not None and len(times) > 1:
        step = (times[-1] - times[0]) / (len(times) - 1)
        held = float((times[-1] + step) * stream.time_base)
        if held + 1.5 * step * float(stream.time_base) < declared:
            raise DataError(
                f"{path} is cut off: it holds {held:.2f} of the {declared:.2f} seconds that its header names; "
                "fetch or write it again"
            )
    _refuse_uneven(path, np.diff(times), float(stream.time_base))
    return _Timeline(len(times), times)


def _refuse_uneven(path: Path, steps: np.ndarray, unit: float) -> None:
    """Hold that frames follow one another evenly, up to the rounding of their times to the stream's unit, in seconds."""
    if len(steps) < 2:
        return
    usual = float(np.median(steps))
    if steps.max() > _UNEVEN * usual + 1 or steps.min() < usual / _UNEVEN - 1:
        raise DataError(
            f"{path} has a variable frame rate (steps of {steps.min() * unit * 1000:.0f} to {steps.max() * unit * 1000:.0f} "
            "ms); the frames of a video follow one another evenly: convert it to a constant one (ffmpeg -vf fps=...)"
        )


def _declared_seconds(stream: Any) -> float | None:
    """What Matroska and WebM say of a stream's length, in a tag such as 00:00:10.033000000."""
    said = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    return int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]) if said else None


def _decode(path: Path, timeline: _Timeline, look: Shown, start: int, frames: int) -> np.ndarray:
    decoded = _decode_after_seeking(path, timeline.times, look, start, frames) if timeline.times and start else None
    if decoded is None:
        decoded, to_colour = [], look.converter(path)
        with _opened(path) as (container, stream):
            for number, frame in enumerate(container.decode(stream)):
                if number >= start:
                    decoded.append(to_colour(frame))
                if len(decoded) == frames:
                    break
    if len(decoded) < frames:
        raise DataError(
            f"{path} is damaged: its frames {start + len(decoded)} to {start + frames} cannot be decoded; "
            "fetch or write it again"
        )
    return np.stack(decoded)


def _decode_after_seeking(path: Path, times: list[int], look: Shown, start: int, frames: int) -> list[np.ndarray] | None:
    """None where the container's own index led past the first frame asked for."""
    wanted = times[start : start + frames]
    decoded: list[np.ndarray] = []
    to_colour = look.converter(path)
    with _opened(path) as (container, stream):
        container.seek(wanted[0], stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is None or (not decoded and frame.pts > wanted[0]):
                return None
            if frame.pts >= wanted[0]:
                decoded.append(to_colour(frame))
            if len(decoded) == frames:
                break
    return decoded
