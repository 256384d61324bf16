"""What files hold, as hashes; a file that has not changed since is not read again.

Digests are remembered in the user's cache with the file's size, inode, and times of change. The system sets the last of these
itself whenever a file's content, name or owner changes, so a program that sets the time of modification back is noticed too.
A disk that flips bits is not: ``vdmbench data verify`` reads everything anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vdmbench.data.cores import cores
from vdmbench.data.durable import write_json
from vdmbench.data.source import fingerprint_of
from vdmbench.user_cache import user_cache, writable

Digests = dict[str, str]


def content_of(hashes: Mapping[str, str]) -> str:
    """SHA-256 (hex) of files' hashes by name."""
    return fingerprint_of(hashes)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path, names: Iterable[str], *, remember: bool = True) -> Digests:
    """SHA-256 (hex) of each named file under ``folder``; ``remember=False`` reads all of them whatever is remembered."""
    names = list(names)
    memory = _memory_of(folder)
    known = _recall(memory) if remember else {}
    states = {name: _state(folder / name) for name in names}
    unread = [name for name in names if known.get(name, [None])[1:] != states[name]]
    with ThreadPoolExecutor(cores()) as pool:  # hashing does not hold the interpreter's lock
        read = dict(zip(unread, pool.map(lambda name: sha256_of(folder / name), unread), strict=True))
    if read and memory is not None:
        # Known before reading, so that a file that changed meanwhile is read again the next time.
        write_json(memory, {**_recall(memory), **{name: [digest, *states[name]] for name, digest in read.items()}})
    return {name: read[name] if name in read else str(known[name][0]) for name in names}


def _memory_of(folder: Path) -> Path | None:
    cache = writable(user_cache() / "digests")
    return None if cache is None else cache / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"


def _recall(memory: Path | None) -> dict[str, list[str | int]]:
    try:
        recalled = json.loads(memory.read_bytes()) if memory is not None else {}
    except (OSError, ValueError):  # not there yet, or damaged: it is only a memory
        return {}
    return recalled if isinstance(recalled, dict) else {}


def _state(file: Path) -> list[str | int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
