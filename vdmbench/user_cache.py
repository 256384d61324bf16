"""The user's cache folder: what may be deleted at any time, and is then computed anew. Never imports torch."""

from __future__ import annotations

import os
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
