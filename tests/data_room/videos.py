"""Small videos, and files of them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}


def video(seed: int, frames: int = 12, height: int = 16, width: int = 16) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def counting(frames: int, side: int = 32, first: int = 0) -> np.ndarray:
    """Frame i is a grey that tells i, and survives a lossy codec."""
    return np.stack([np.full((side, side, 3), 8 * (first + i) % 248, np.uint8) for i in range(frames)])


def number_of(frame: np.ndarray) -> int:
    """The i of :func:`counting`."""
    return round(float(frame.mean()) / 8)


def write_movie(path: Path, frames: np.ndarray, *, key_frame_every: int = 10, options: dict[str, str] | None = None) -> None:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(CODECS[path.suffix], rate=20)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.gop_size = key_frame_every
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def sparse(path: Path, shape: tuple[int, ...], value: int) -> None:
    """A large npy that takes no room: zeros, and ``value`` first."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    array.flat[0] = value
    array.flush()
