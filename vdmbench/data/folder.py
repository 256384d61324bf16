"""Videos in files: a folder with ``train/`` and ``test/``, in them ``.npy`` or ``.npz`` files, at any depth."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.manifest import MANIFEST, Manifest, content_of, sha256_of
from vdmbench.data.resize import fit_square
from vdmbench.data.source import CHANNELS, DataError, Source, Split, fingerprint_of

ARRAY = "video"  # the key of a video in an .npz file


class Folder(Source):
    """The videos of ``path/train`` or ``path/test``, one a file, in the order of their relative paths.

    A file is ``.npy``, or ``.npz`` with the array ``video`` (others beside it, such as actions, are left alone): uint8
    (frames, height, width, 3). All files of a split have one height and width; clips are cropped and resized to ``size``.
    Where the folder has a ``manifest.json`` (a recorded data set), the files must be those it lists, and the content of
    each is checked against its hash when it is first read.

    Args:
        split, frames, size: as in :class:`vdmbench.data.source.Source`.
        path: the folder that holds ``train`` and ``test``.

    Raises:
        DataError: where there are no videos, or a file cannot be used; the message names it.
    """

    def __init__(self, *, split: Split, frames: int, size: int, path: Path | str) -> None:
        super().__init__(split=split, frames=frames, size=size)
        self.path = Path(path)
        self._names = self._list()
        self._arrays = [_read_header(self.path / name) for name in self._names]
        self._check_shapes()
        self._manifest = Manifest.read(self.path)
        self._unverified: dict[str, str] = {}
        if self._manifest is not None:
            self._check_listed(self._manifest)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """The file of video ``index``, relative to the folder."""
        self._check_index(index)
        return self._names[index]

    def length(self, index: int) -> int:
        self._check_index(index)
        return self._arrays[index].shape[0]

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the split's file contents and ``size``; without a manifest, every file is read for it once."""
        if self._manifest is not None:
            hashes = {name: self._manifest.videos[name].sha256 for name in self._names}
        else:
            hashes = {name: sha256_of(self.path / name) for name in self._names}
        return fingerprint_of({"source": type(self).__name__, "split": self.split, "size": self.size,
                               "content": content_of(hashes)})

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        name = self._names[index]
        if name in self._unverified:
            if sha256_of(self.path / name) != self._unverified[name]:
                raise DataError(f"{self.path / name} is not the file that {MANIFEST} lists (its hash differs); record it again")
            self._unverified.pop(name, None)
        return np.ascontiguousarray(fit_square(self._arrays[index].read(start, frames), self.size))

    def _list(self) -> list[str]:
        root = self.path / self.split
        if not root.is_dir():
            raise DataError(f"{self.path} has no folder {self.split}/; a data set holds train/ and test/, a video a file")
        files = [file for file in root.rglob("*") if file.is_file() and not file.name.startswith(".")]
        names = sorted(file.relative_to(self.path).as_posix() for file in files if file.suffix in _READERS)
        if not names:
            held = ", ".join(sorted({file.suffix or file.name for file in files})) or "nothing"
            raise DataError(f"{root} holds no {' or '.join(_READERS)} files, but {held}")
        return names

    def _check_shapes(self) -> None:
        first = self._arrays[0]
        for array in self._arrays:
            if array.dtype != np.uint8:
                raise DataError(f"{array.file} is {array.dtype}; videos are stored as uint8, 0 to 255")
            if len(array.shape) != 4 or array.shape[3] != CHANNELS or 0 in array.shape:
                raise DataError(f"{array.file} has shape {array.shape}; a video is (frames, height, width, {CHANNELS})")
            if array.shape[0] < self.frames:
                raise DataError(f"{array.file} has {array.shape[0]} frames, and clips of {self.frames} frames were asked for")
            if array.shape[1:3] != first.shape[1:3]:
                raise DataError(f"{array.file} is {array.shape[1]}x{array.shape[2]} and {first.file} is {first.shape[1]}x"
                                f"{first.shape[2]}; resize them to one size first, for sharpness would differ between videos")

    def _check_listed(self, manifest: Manifest) -> None:
        listed = {name for name in manifest.videos if name.startswith(f"{self.split}/")}
        for name, fault in [*((name, "lists, is missing") for name in sorted(listed - set(self._names))),
                            *((name, "does not list, is there") for name in self._names if name not in listed)]:
            raise DataError(f"{self.path / name}, which {MANIFEST} {fault}; record the data set again, or delete {MANIFEST}")
        for name in self._names:
            size = (self.path / name).stat().st_size
            if size != manifest.videos[name].bytes:
                raise DataError(f"{self.path / name} has {size} bytes, and {MANIFEST} lists {manifest.videos[name].bytes}; "
                                "record it again")
        self._unverified = {name: manifest.videos[name].sha256 for name in self._names}


@dataclass(frozen=True)
class _StoredArray:
    """An array in a file: what its header says, and a way to read a run of its frames."""

    file: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], np.ndarray]


def _read_header(file: Path) -> _StoredArray:
    try:
        return _READERS[file.suffix](file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} cannot be read as {file.suffix} ({error}); write it again") from error


def _npy(file: Path) -> _StoredArray:
    """Mapped into memory: only the frames that are asked for are read from disk."""
    array = np.load(file, mmap_mode="r", allow_pickle=False)

    def read(start: int, frames: int) -> np.ndarray:
        return np.array(np.load(file, mmap_mode="r", allow_pickle=False)[start:start + frames])

    return _StoredArray(file, array.shape, array.dtype, read)


def _npz(file: Path) -> _StoredArray:
    """Read through the archive from its beginning to the last frame asked for, keeping the frames asked for."""
    with zipfile.ZipFile(file) as archive:
        if f"{ARRAY}.npy" not in archive.namelist():
            held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
            raise DataError(f"{file} has no array '{ARRAY}', but {held}; save it as np.savez(file, {ARRAY}=...)")
        with archive.open(f"{ARRAY}.npy") as member:
            version = np.lib.format.read_magic(member)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, column_major, dtype = read_header(member)
            header = member.tell()
            # Not the archive's word for it, which a torn file still carries: the size of the frames that must follow.
            if member.seek(0, 2) < header + math.prod(shape) * dtype.itemsize:
                raise DataError(f"{file} is shorter than its header says; write it again")
    if column_major:
        raise DataError(f"{file} stores frames last (Fortran order); save np.ascontiguousarray(video)")
    bytes_a_frame = math.prod(shape[1:]) * dtype.itemsize

    def read(start: int, frames: int) -> np.ndarray:
        try:
            with zipfile.ZipFile(file) as archive, archive.open(f"{ARRAY}.npy") as member:
                member.seek(header + start * bytes_a_frame)
                stored = member.read(frames * bytes_a_frame)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{file} cannot be read ({error}); write it again") from error
        return np.frombuffer(stored, dtype).reshape(frames, *shape[1:])

    return _StoredArray(file, shape, dtype, read)


_READERS: dict[str, Callable[[Path], _StoredArray]] = {".npy": _npy, ".npz": _npz}
