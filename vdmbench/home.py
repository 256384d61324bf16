"""The user's home folder, and paths that begin with ``~``. Never imports torch."""

from __future__ import annotations

import os
from pathlib import Path


class NoHome(ValueError):
    """Nobody says where the home folder is: neither HOME nor the system's list of users; the message says what to set."""


def home() -> Path:
    """The home folder. Raises :class:`NoHome`, as in a container that runs as a number without a name."""
    try:
        return Path.home()
    except RuntimeError:
        raise NoHome(
            f"user {os.getuid()} has no home folder here: set HOME, or XDG_CACHE_HOME for what vdmbench keeps between runs"
        ) from None


def expanded(path: str | Path) -> Path:
    """The path, with the home folder for ``~`` at its beginning. Raises :class:`NoHome`, also for ``~somebody`` unknown."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise NoHome(f"{path}: this user has no home folder here: write the whole path, or set HOME") from None
