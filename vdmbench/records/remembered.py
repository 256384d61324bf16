"""What a survey has read of a results folder before, so that looking at ten thousand cells again reads those that are new.

It lies in the user's cache and may be deleted; nothing in the results folder itself is believed in place of a record. A record
counts as read where its file has still the device, inode, size, and times of change that it had, as for remembered digests
(:mod:`vdmbench.file_digests`, which says what that does not notice). One that could not be used is never remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vdmbench.file_digests import SETTLED
from vdmbench.home import NoHome
from vdmbench.records.schema import Record
from vdmbench.user_cache import user_cache, writable
from vdmbench.whole_file import write_atomically

BRIEF = frozenset(
    {"record_schema", "identity", "suite", "variant", "point", "seed", "attempt", "status", "phase", "message", "for_tuning"}
)
"""What a survey tells of a record: of ten thousand cells the rest, such as every metric and package, takes a gigabyte."""
_WORTH_KEEPING = 100
"""Records newly read, and cells newly expanded, from which on they are remembered: fewer cost nothing."""


class Remembered:
    """Records in brief, and the cells that a suite declares. A memory that cannot be kept or read is empty."""

    def __init__(self, results: Path) -> None:
        self._path = _place(results)
        self._records, self._declared = _read(self._path)
        self._seen: dict[str, list[Any]] = {}
        self._new = 0

    def record(self, attempt: Path) -> Record | None:
        """The record of an attempt, in brief; None where it was not read before, or its file is not as it was."""
        name = f"{attempt.parent.parent.name}/{attempt.name}"
        try:
            found = os.stat(f"{attempt}/record.json")
        except OSError:
            return None
        state = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        known = self._records.get(name)
        self._seen[name] = [state, None]
        if known is None or known[0] != state:
            return None
        try:
            record = Record.model_validate({**known[1], "declared": {}})
        except (ValidationError, TypeError):
            return None
        self._seen[name] = known
        return record

    def keep(self, attempt: Path, record: Record) -> None:
        """Remember a record that was read after :meth:`record` did not know it."""
        seen = self._seen.get(f"{attempt.parent.parent.name}/{attempt.name}")
        if seen is not None and seen[1] is None and seen[0][-1] < time.time_ns() - SETTLED:
            seen[1] = record.model_dump(mode="json", include=set(BRIEF))
            self._new += 1

    def declared(self, by: str) -> tuple[str, dict[str, str]] | None:
        """Of a suite and the code that reads it, ``by`` a digest of both: its name, and its cells' labels by identity."""
        return (self._declared[1], self._declared[2]) if self._declared and self._declared[0] == by else None

    def keep_declared(self, by: str, name: str, labels: dict[str, str]) -> None:
        """Remember what a suite declares."""
        self._declared = [by, name, labels]
        self._new += len(labels)

    def save(self) -> None:
        """Make it last, if it was worth it. What is not there any more is forgotten."""
        if self._path is None or self._new < _WORTH_KEEPING:
            return
        kept = json.dumps([{name: seen for name, seen in self._seen.items() if seen[1] is not None}, self._declared]).encode()
        with suppress(OSError):  # a full disk, which is told where it matters
            write_atomically(self._path, hashlib.sha256(kept).hexdigest().encode() + b"\n" + kept)


def _place(results: Path) -> Path | None:
    try:
        cache = writable(user_cache() / "surveys")
    except NoHome:
        return None
    return None if cache is None else cache / f"{hashlib.sha256(os.fsencode(results.resolve())).hexdigest()[:32]}.json"


def _read(path: Path | None) -> tuple[dict[str, Any], list[Any] | None]:
    """What was kept, where it is as it was written, by a digest of itself; else nothing, for it is only a memory."""
    try:
        digest, _, kept = path.read_bytes().partition(b"\n") if path is not None else (b"", b"", b"")
        if hashlib.sha256(kept).hexdigest().encode() != digest:
            return {}, None
        records, declared = json.loads(kept)
        return dict(records), declared
    except (OSError, ValueError, TypeError, RecursionError):
        return {}, None
