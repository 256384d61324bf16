"""What files hold, as hashes: the one place that says whether two files, or two sets of them, are the same. Free of torch.

A file that has not changed since is not read again. Digests are remembered in the user's cache with the file's device, inode,
size, and times of change; what is remembered holds a digest of itself, and counts for nothing where that is not so. The system
sets the last of these times itself whenever a file's content, name or owner changes, so a program that sets the time of
modification back is noticed too. A file that changed within the last :data:`SETTLED` is read, and not remembered: a second
change within the same tick of the clock would not be seen.

Not noticed: a disk that flips bits (``vdmbench data verify`` reads everything anew), and writes through a memory map on a file
system that does not note their time (tmpfs).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vdmbench.cores import cores
from vdmbench.user_cache import user_cache, writable
from vdmbench.whole_file import write_json

Digests = dict[str, str]
SETTLED = 2_000_000_000
"""Nanoseconds after a change from which on a file's digest is remembered."""


def digest_of(declared: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of ``declared``, such as the hashes of files by their names."""
    return hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path, names: Iterable[str], *, remember: bool = True) -> Digests:
    """SHA-256 (hex) of each named file under ``folder``; ``remember=False`` reads all of them whatever is remembered."""
    names = list(names)
    memory = _memory_of(folder)
    known = _recall(memory) if remember else {}
    # Looked at before reading, so that a file that changes meanwhile is read again the next time.
    now = time.time_ns()
    states = {name: _state(folder / name) for name in names}
    unread = [name for name in names if known.get(name, [None])[1:] != states[name]]
    with ThreadPoolExecutor(cores()) as pool:  # hashing does not hold the interpreter's lock
        read = dict(zip(unread, pool.map(lambda name: sha256_of(folder / name), unread), strict=True))
    settled = {name: [digest, *states[name]] for name, digest in read.items() if states[name][-1] < now - SETTLED}
    if settled and memory is not None:
        remembered = {**_recall(memory), **settled}
        write_json(memory, {"files": remembered, "digest": digest_of(remembered)})
    return {name: read[name] if name in read else str(known[name][0]) for name in names}


def _memory_of(folder: Path) -> Path | None:
    cache = writable(user_cache() / "digests")
    return None if cache is None else cache / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"


def _recall(memory: Path | None) -> dict[str, list[Any]]:
    """What was remembered, where it is as it was written, by a digest of itself; else nothing, for it is only a memory."""
    try:
        recalled = json.loads(memory.read_bytes().decode(errors="surrogateescape")) if memory is not None else {}
        files: dict[str, list[Any]] = recalled["files"]
        return files if recalled["digest"] == digest_of(files) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # not there yet, damaged, or of an older version
        return {}


def _state(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
