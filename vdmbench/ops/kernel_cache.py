"""Where compiled Numba kernels are kept between processes.

A suite runs every cell in a new process, so kernels are compiled once per machine, not once per cell. They live in the
user's cache folder (``NUMBA_CACHE_DIR`` where it is set, else ``XDG_CACHE_HOME``, else ``~/.cache``), never beside the
source, in a folder named by a digest of the kernels' source: Numba looks at the file of the compiled function only, and
would serve stale code when a file that it inlines has changed. Nobody else may write into that folder, for what lies there
runs. Where there can be none, kernels are compiled in each process.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from vdmbench.user_cache import user_cache, writable_by_us_alone

_SOURCES = (
    "kernel_cache.py",
    "row_kernels.py",
    "softmax_rows.py",
    "frame_kernels.py",
    "scan_kernels.py",
    "group_norm_kernels.py",
    "long_conv_kernels.py",
    "short_conv_kernels.py",
    "linear_attention_kernels.py",
)
_settings: Any = numba.config


@cache
def kernel_folder() -> Path | None:
    """The folder of compiled kernels, created; None where it cannot be written."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    return writable_by_us_alone(Path(_settings.CACHE_DIR or user_cache() / "numba") / f"scan-{digest.hexdigest()[:16]}")


def part(function: Callable[..., None]) -> Callable[..., None]:
    """``numba.njit`` for functions that kernels call."""
    return numba.njit(error_model="numpy")(inspect.unwrap(function))


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """``numba.njit(parallel=True)`` for the entry points of kernels, kept in :func:`kernel_folder`."""
    folder = kernel_folder()
    before = _settings.CACHE_DIR
    _settings.CACHE_DIR = "" if folder is None else str(folder)  # read while this function is decorated
    try:
        return numba.njit(parallel=True, error_model="numpy", cache=folder is not None)(inspect.unwrap(function))
    finally:
        _settings.CACHE_DIR = before
