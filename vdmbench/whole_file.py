"""Writing files so that each is whole or not there, whenever the process or the machine stops."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file so that ``path`` either is as it was or holds all of it.

    Temporary file in the same folder, flush, fsync, rename, fsync of the folder.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask, for data sets may be shared
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, atomically; names of files that are no UTF-8 keep their bytes."""
    with whole_file(path) as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")
