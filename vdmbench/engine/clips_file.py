"""Clips that are written while they are made."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor


class ClipsFile:
    """A ``.npy`` of uint8 (clips, frames, height, width, channels), filled in any order; without a path one in memory.

    Written with plain writes and not through a memory map, whose pages would count as memory of the process.
    """

    def __init__(self, path: Path | None, shape: tuple[int, ...]) -> None:
        self._path, self._shape = path, shape
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._offset = self._file.tell()

    def __enter__(self) -> ClipsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._path is None:
            self._file.flush()
        else:
            self._file.close()

    def write(self, clips: range, first: int, frames: UInt8[Tensor, "clips frames channels height width"]) -> None:
        """Put the next frames of ``clips``, from frame number ``first`` on."""
        of_frame = int(np.prod(self._shape[2:]))
        for clip, chunk in zip(clips, frames.permute(0, 1, 3, 4, 2).contiguous().numpy(), strict=True):
            self._file.seek(self._offset + (clip * self._shape[1] + first) * of_frame)
            self._file.write(chunk.tobytes())

    def clips(self) -> UInt8[Tensor, "clips frames channels height width"]:
        """What was written; of a file it is read where it is looked at."""
        if self._path is None:
            assert isinstance(self._file, io.BytesIO)
            whole = np.frombuffer(self._file.getbuffer(), np.uint8, offset=self._offset).reshape(self._shape)
        else:
            whole = np.load(self._path, mmap_mode="c")  # writable, as torch asks, and the file stays as it is
        return torch.from_numpy(whole).permute(0, 1, 4, 2, 3)
