"""What is kept of an error that is a fault of vdmbench itself, so that it can be sent with a bug report."""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from vdmbench import __version__
from vdmbench.home import NoHome
from vdmbench.user_cache import user_cache

_LONGEST = 300
"""Characters of the error that the line on the terminal repeats."""


def in_a_line(error: BaseException) -> str:
    """The error, where its report is, and what to do."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    kept = _keep(error)
    where = f"what is known of it is in {kept}, send that with a bug report" if kept else "run it again with --debug"
    return f"{said} (a fault of vdmbench, not of what you gave it: {where}; --debug shows the traceback)"


def _keep(error: BaseException) -> Path | None:
    """Write the report into the cache folder, or into that for temporary files; None where neither can be written."""
    text = "\n".join(
        [
            f"vdmbench {__version__}, Python {platform.python_version()}, {platform.platform()}",
            shlex.join(["vdmbench", *sys.argv[1:]]),
            "",
            *traceback.format_exception(error),
        ]
    )
    name = time.strftime("%Y%m%d-%H%M%S.txt")
    for folder in (_in_cache, lambda: Path(tempfile.mkdtemp(prefix="vdmbench-fault-"))):
        try:
            path = folder() / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except (OSError, NoHome):
            continue
        return path
    return None


def _in_cache() -> Path:
    return user_cache() / "faults"
