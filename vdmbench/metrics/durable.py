"""Tensors on disk, whole or not at all; and sealed, so that a bit that flipped is seen when they are read back."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vdmbench.whole_file import put_in_place


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write safetensors beside ``path``, flush them to the disk, and rename: a reader never sees half a file.

    Raises ValueError for NaN or infinite values, which would spoil every later result that reads them.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"{path}: '{name}' holds NaN or infinite values and is not kept; look at what it was computed from"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask, for caches may be shared
    mode = os.fstat(handle).st_mode
    os.close(handle)
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=metadata)
        os.chmod(temporary, mode)  # safetensors makes a file of its own, which nobody else may read
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_SEAL = "sha256"


class DamagedTensors(ValueError):
    """A sealed file that cannot be read, or is not what was written; the message names it and what is wrong."""


def save_sealed(tensors: dict[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """:func:`save_tensors` with the SHA-256 of all that the file says, for :func:`load_sealed`."""
    said = dict(metadata or {})
    save_tensors(tensors, path, {**said, _SEAL: _seal(tensors, said)})


def load_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file that :func:`save_sealed` wrote; raises :class:`DamagedTensors`."""
    try:
        with safe_open(path, framework="pt") as file:
            said = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (SafetensorError, OSError, UnicodeDecodeError) as cause:
        raise DamagedTensors(f"{path}: cannot be read ({cause})") from cause
    seal = said.pop(_SEAL, None)
    if seal is None:
        raise DamagedTensors(f"{path}: has no checksum")
    if seal != _seal(tensors, said):
        raise DamagedTensors(f"{path}: is not what was written: its checksum differs")
    return tensors, said


def _seal(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    total = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        total.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        total.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return total.hexdigest()
