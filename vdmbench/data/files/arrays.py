"""Videos stored as arrays: ``.npy``, ``.npz`` and PyTorch's ``.pt``. Nothing in them is ever executed.

An array of four axes is one video, (frames, height, width, 3); one of five is several, (videos, frames, height, width, 3).
"""

from __future__ import annotations

import math
import pickle
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vdmbench.data.files.video_file import Annotations, VideoFile
from vdmbench.data.source import CHANNELS, DataError
from vdmbench.unpacked import refuse_larger_than_memory

ARRAYS = ("video", "videos")
"""Keys of videos in an ``.npz`` file; what stands beside them are annotations."""
_UNNAMED = "arr_0"
"""The key of a single array that was saved without one."""
_DAMAGE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def open_npy(path: Path) -> list[VideoFile]:
    """Mapped into memory: only the frames that are asked for are read from disk."""
    array = _mapped(path)
    end = getattr(array, "offset", 0) + array.nbytes
    if path.stat().st_size != end:
        raise DataError(f"{path} goes on behind the array that its header describes; write one array a file")
    return _videos(path, array.shape, array.dtype, lambda entry: _mapped(path) if entry is None else _mapped(path)[entry])


def open_npz(path: Path) -> list[VideoFile]:
    """One video is read through the archive from its beginning to the last frame asked for; several are read together."""
    try:
        with zipfile.ZipFile(path) as archive:
            key = _key(path, archive)
            shape, dtype, offset = _array_header(path, archive, key)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    if len(shape) == 5:
        return _videos(path, shape, dtype, lambda entry: _whole(path, key, _state(path))[entry])
    bytes_a_frame = math.prod(shape[1:]) * dtype.itemsize

    def read(start: int, frames: int) -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
                member.seek(offset + start * bytes_a_frame)
                stored = member.read(frames * bytes_a_frame)
                if start + frames == shape[0]:
                    member.read()  # the checksum is held against all of it
            return np.frombuffer(bytearray(stored), dtype).reshape(frames, *shape[1:])
        except _DAMAGE as error:
            raise _unreadable(path, error) from error

    return [_video(path, shape, dtype, read, annotate=lambda: read_annotations(path))]


def read_annotations(path: Path) -> Annotations:
    """All arrays of an ``.npz`` but videos."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in archive.files if name not in ARRAYS]
            refuse_larger_than_memory(path, {f"{name}.npy" for name in names})
            return {name: archive[name] for name in names}
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def read_array(path: Path) -> np.ndarray:
    """A whole ``.npy`` file, such as the actions of one episode."""
    return np.array(_mapped(path))


def holds_video(path: Path) -> bool:
    """Whether an ``.npz`` holds a video, and not only annotations of one that lies beside it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(f"{key}.npy" in archive.namelist() for key in ARRAYS)
    except (OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def open_pt(path: Path) -> list[VideoFile]:
    """One tensor, saved by ``torch.save``; mapped into memory, save where it is of the format before PyTorch 1.6."""
    import torch

    def load() -> Any:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except (RuntimeError, pickle.UnpicklingError, *_DAMAGE) as error:
            raise _unreadable(path, error) from error

    loaded = load()
    if not isinstance(loaded, torch.Tensor):
        raise DataError(f"{path} holds a {type(loaded).__name__}; a video is one tensor (frames, height, width, 3)")
    if loaded.layout != torch.strided or loaded.is_quantized or loaded.dtype is torch.bfloat16:
        kind = str(loaded.dtype if loaded.layout == torch.strided else loaded.layout).removeprefix("torch.")
        raise DataError(f"{path} is {kind}; videos are stored as plain uint8, 0 to 255")
    array = loaded.numpy()
    return _videos(path, array.shape, array.dtype, lambda entry: load().numpy() if entry is None else load().numpy()[entry])


def _videos(
    path: Path, shape: Sequence[int], dtype: np.dtype[Any], array: Callable[[int | None], np.ndarray]
) -> list[VideoFile]:
    """The videos of one array; ``array`` gives one of several by its number, or the only one."""

    def reading(entry: int | None) -> Callable[[int, int], np.ndarray]:
        return lambda start, frames: np.array(array(entry)[start : start + frames])

    if len(shape) != 5:
        return [_video(path, shape, dtype, reading(None))]
    if shape[0] == 0:
        raise DataError(f"{path} holds no video, its shape is {tuple(shape)}")
    return [_video(path, shape[1:], dtype, reading(entry), entry=entry) for entry in range(shape[0])]


def _video(
    path: Path, shape: Sequence[int], dtype: np.dtype[Any], read: Callable[[int, int], np.ndarray], **more: Any
) -> VideoFile:
    """A video of that shape. Raises DataError where it is none; numbers that are no uint8 are left to who opens it."""
    if len(shape) != 4 or shape[3] != CHANNELS or 0 in shape:
        kind = "" if dtype == np.uint8 else f"is {dtype} and "
        raise DataError(
            f"{path} {kind}has shape {tuple(shape)}; a video is (frames, height, width, {CHANNELS}), and several in one array "
            f"are (videos, frames, height, width, {CHANNELS})"
        )
    return VideoFile(path, shape[0], shape[1], shape[2], read, dtype=np.dtype(dtype), **more)


def _state(path: Path) -> tuple[int, ...]:
    """Another one for a file that was written again."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=1)  # an archive of many videos is inflated once, not once a video
def _whole(path: Path, key: str, state: tuple[int, ...]) -> np.ndarray:
    try:
        refuse_larger_than_memory(path, {f"{key}.npy"})
        with np.load(path, allow_pickle=False) as archive:
            array: np.ndarray = archive[key]
            return array
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _mapped(path: Path) -> np.ndarray:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    if not isinstance(mapped, np.ndarray):
        mapped.close()
        raise DataError(f"{path} is an archive of arrays; name it .npz")
    return mapped


def _key(path: Path, archive: zipfile.ZipFile) -> str:
    """Which array of an archive holds the videos."""
    held = [name.removesuffix(".npy") for name in archive.namelist()]
    named = [key for key in ARRAYS if key in held] or [key for key in held if held == [_UNNAMED]]
    if len(named) != 1:
        has = "both 'video' and 'videos'" if named else f"no array 'video', but {', '.join(held) or 'nothing'}"
        raise DataError(f"{path} has {has}; save one video as np.savez(file, video=...), several as videos=...")
    return named[0]


def _array_header(path: Path, archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and dtype of the videos in an ``.npz``, and where in the member the first frame begins."""
    with archive.open(f"{key}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_major, dtype = read_header(member)
        offset = member.tell()
    # The archive's directory stands at its end, so an archive that opens was not cut off; what it says of sizes holds.
    if archive.getinfo(f"{key}.npy").file_size < offset + math.prod(shape) * dtype.itemsize:
        raise DataError(f"{path} is shorter than its header says; write it again")
    if column_major and len(shape) == 4:
        raise DataError(f"{path} stores frames last (Fortran order); save np.ascontiguousarray(video)")
    return shape, dtype, offset


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path} cannot be read as {path.suffix} ({said}); write it again")
