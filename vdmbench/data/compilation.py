"""Loops compiled by numba, their machine code kept in the user's cache folder and never beside the source."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def cache_folder() -> Path | None:
    """Where compiled code is kept between processes: ``NUMBA_CACHE_DIR``, else ``vdmbench/numba`` in the user's cache folder
    (``XDG_CACHE_HOME``, or ``~/.cache``). None where that cannot be written: each process then compiles anew."""
    if declared := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(declared)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vdmbench" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on its first call, without the interpreter's lock and without reordering of float operations."""
    function = inspect.unwrap(function)  # from what jaxtyping's import hook puts around it, which cannot be compiled
    folder = cache_folder()
    if folder is None:
        return numba.njit(nogil=True)(function)
    # numba asks for its folder once, at decoration; left to itself it writes into __pycache__ beside the source.
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        settings.CACHE_DIR = before
