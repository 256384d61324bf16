"""Loops compiled by numba, their machine code kept in the user's cache folder and never beside the source."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from vdmbench.user_cache import user_cache, writable_by_us_alone


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` on its first call, without the interpreter's lock and without reordering of float operations.

    Machine code is kept between processes in ``NUMBA_CACHE_DIR``, else in the user's cache; where neither can be written, each
    process compiles anew.
    """
    function = inspect.unwrap(function)  # from what jaxtyping's import hook puts around it, which cannot be compiled
    declared = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(declared) if declared else writable_by_us_alone(user_cache() / "numba")
    if folder is None:
        return numba.njit(nogil=True)(function)
    # numba asks for its folder once, at decoration; left to itself it writes into __pycache__ beside the source.
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        settings.CACHE_DIR = before
