"""The user's cache folder: what may be deleted at any time, and is then computed anew. Never imports torch."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from vdmbench.home import home


def user_cache() -> Path:
    """``vdmbench`` in ``XDG_CACHE_HOME``, or in ``~/.cache``; it need not exist. Raises :class:`~vdmbench.home.NoHome`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "vdmbench"


def writable(folder: Path) -> Path | None:
    """The folder, created; None where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def writable_by_us_alone(folder: Path) -> Path | None:
    """As :func:`writable`, for what runs when it is loaded: compiled code.

    Where the folder is somebody else's, or others may write into it, one beside it that is named for this user; None where that
    is so too.
    """
    for candidate in (folder, folder.with_name(f"{folder.name}-user-{os.geteuid()}")):
        try:
            candidate.parent.mkdir(parents=True, exist_ok=True)
            candidate.mkdir(mode=0o700, exist_ok=True)
            state = candidate.stat()
        except OSError:
            continue
        if state.st_uid == os.geteuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and writable(candidate):
            return candidate
    return None
