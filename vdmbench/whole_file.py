"""Write a file so that a reader sees all of it or none, and so that it outlives a crash.

1. Create a temporary file in the same folder with ``O_EXCL``, so that nobody else's is touched.
2. Write, flush, fsync: the bytes are on disk before the name exists.
3. ``os.replace`` (or ``os.link`` where the file must be new): the name appears at once.
4. fsync the folder: the name is on disk too.

Accepted: a crash between 1 and 3 leaves a ``.tmp-`` file, which readers ignore. Scope: local and POSIX-like shared file
systems; not object stores.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path, *, exclusive: bool = False) -> Iterator[IO[bytes]]:
    """A file to write what is to be at ``path``, which until the end of the block is as it was.

    With ``exclusive`` an existing file is an error (FileExistsError) and stays as it is; otherwise it is replaced.
    Raises OSError (no space, no permission) with nothing new at ``path``.
    """
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask: folders may be shared
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def write_atomically(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Put ``content`` at ``path`` as :func:`whole_file` does."""
    with whole_file(path, exclusive=exclusive) as file:
        file.write(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, atomically; names of files that are no UTF-8 keep their bytes."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file in the same folder the name ``path``, its bytes being on disk before the name."""
    with open(temporary, "rb") as written, naming(path):
        os.fsync(written.fileno())
    os.replace(temporary, path)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make names created in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an error of the system that names no file, as those of open ones do (EIO, ENOSPC), is of ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
