"""Videos stored as arrays: ``.npy``, ``.npz`` and PyTorch's ``.pt``. Nothing in them is ever executed."""

from __future__ import annotations

import math
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vdmbench.data.files.video_file import Annotations, VideoFile, of_array
from vdmbench.data.source import DataError

ARRAY = "video"  # the key of a video in an .npz file; the others are annotations


def open_npy(path: Path) -> VideoFile:
    """Mapped into memory: only the frames that are asked for are read from disk."""
    array = _mapped(path)

    def read(start: int, frames: int) -> np.ndarray:
        return np.array(_mapped(path)[start : start + frames])

    return of_array(path, array.shape, array.dtype, read)


def open_npz(path: Path) -> VideoFile:
    """Read through the archive from its beginning to the last frame asked for, keeping the frames asked for."""
    try:
        with zipfile.ZipFile(path) as archive:
            shape, dtype, offset = _array_header(path, archive)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from error
    bytes_a_frame = math.prod(shape[1:]) * dtype.itemsize

    def read(start: int, frames: int) -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{ARRAY}.npy") as member:
                member.seek(offset + start * bytes_a_frame)
                stored = member.read(frames * bytes_a_frame)
            return np.frombuffer(bytearray(stored), dtype).reshape(frames, *shape[1:])
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _unreadable(path, error) from error

    return of_array(path, shape, dtype, read, lambda: read_annotations(path))


def read_annotations(path: Path) -> Annotations:
    """All arrays of an ``.npz`` but the video."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name != ARRAY}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from error


def read_array(path: Path) -> np.ndarray:
    """A whole ``.npy`` file, such as the actions of one episode."""
    return np.array(_mapped(path))


def holds_video(path: Path) -> bool:
    """Whether an ``.npz`` holds a video, and not only annotations of one that lies beside it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{ARRAY}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def open_pt(path: Path) -> VideoFile:
    """One tensor, saved by ``torch.save``; mapped into memory, save where it is of the format before PyTorch 1.6."""
    import torch

    def load() -> np.ndarray:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise _unreadable(path, error) from error
        if not isinstance(loaded, torch.Tensor):
            raise DataError(f"{path} holds a {type(loaded).__name__}; a video is one tensor (frames, height, width, 3)")
        return loaded.numpy()

    array = load()
    return of_array(path, array.shape, array.dtype, lambda start, frames: np.array(load()[start : start + frames]))


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from error


def _array_header(path: Path, archive: zipfile.ZipFile) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and dtype of the video in an ``.npz``, and where in the member its first frame begins."""
    if f"{ARRAY}.npy" not in archive.namelist():
        held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
        raise DataError(f"{path} has no array '{ARRAY}', but {held}; save it as np.savez(file, {ARRAY}=...)")
    with archive.open(f"{ARRAY}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_major, dtype = read_header(member)
        offset = member.tell()
    # The archive's directory stands at its end, so an archive that opens was not cut off; what it says of sizes holds.
    if archive.getinfo(f"{ARRAY}.npy").file_size < offset + math.prod(shape) * dtype.itemsize:
        raise DataError(f"{path} is shorter than its header says; write it again")
    if column_major:
        raise DataError(f"{path} stores frames last (Fortran order); save np.ascontiguousarray(video)")
    return shape, dtype, offset


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path} cannot be read as {path.suffix} ({said}); write it again")
