"""What an archive unpacks to, known before it is unpacked: a few megabytes may hold more than a machine's memory."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path

import psutil

SHARE = 0.5
"""Of the memory that is available, what the arrays of one archive may take."""


def refuse_larger_than_memory(path: Path, names: Collection[str] | None = None) -> None:
    """Raise ValueError where the members ``names`` of a zip (all, where None) would take more than :data:`SHARE` of memory.

    A reader of zip files gives no more than the size that the directory declares.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist() if names is None or member.filename in names)
    room = int(SHARE * psutil.virtual_memory().available)
    if size > room:
        raise ValueError(
            f"it unpacks to {size / 2**30:.3g} GiB, more than {SHARE:.0%} of the memory that is available here "
            f"({room / 2**30:.3g} GiB): save it in parts, or as .npy, which is read in pieces"
        )
