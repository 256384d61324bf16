"""Videos in mp4, webm, avi and their kin, decoded by PyAV (FFmpeg's libraries)."""

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

from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError


@dataclass(frozen=True)
class _Timeline:
    """Presentation times of all frames, in order, in the stream's unit; None where the container does not keep them."""

    frames: int
    times: list[int] | None


def open_movie(path: Path) -> VideoFile:
    """Count the frames without decoding them; a clip is decoded from the key frame before it.

    Raises:
        DataError: where the file is cut off, holds no video, or PyAV is not installed.
    """
    with _opened(path) as (container, stream):
        timeline = _timeline(path, container, stream)
        height, width = stream.codec_context.height, stream.codec_context.width
    return VideoFile(path, timeline.frames, height, width, lambda start, frames: _decode(path, timeline, start, frames))


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
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # many videos are read at once, and small ones gain nothing
            yield container, stream
    except av.error.FFmpegError as error:
        raise DataError(
            f"{path} cannot be decoded ({error.strerror or error}): it is cut off or damaged; fetch or write it again"
        ) from error


def _timeline(path: Path, container: Any, stream: Any) -> _Timeline:
    packets = [packet for packet in container.demux(stream) if packet.size]
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
    return _Timeline(len(times), times)


def _declared_seconds(stream: Any) -> float | None:
    """What Matroska and WebM say of a stream's length, in a tag such as 00:00:10.033000000."""
    said = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    return int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]) if said else None


class _ToColour:
    """Frames as arrays; the converter between pixel formats is made once, which takes longer than a small frame."""

    def __init__(self) -> None:
        self._converter = importlib.import_module("av.video.reformatter").VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        return self._converter.reformat(frame, format="rgb24").to_ndarray()


def _decode(path: Path, timeline: _Timeline, start: int, frames: int) -> np.ndarray:
    decoded = _decode_after_seeking(path, timeline.times, start, frames) if timeline.times and start else None
    if decoded is None:
        decoded, to_colour = [], _ToColour()
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


def _decode_after_seeking(path: Path, times: list[int], start: int, frames: int) -> list[np.ndarray] | None:
    """None where the container's own index led past the first frame asked for."""
    wanted = times[start : start + frames]
    decoded: list[np.ndarray] = []
    to_colour = _ToColour()
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
