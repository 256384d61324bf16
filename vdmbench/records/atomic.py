"""Write a file so that a reader sees all of it or none, and so that it outlives a crash.

1. Create a temporary file in the same folder with ``O_EXCL``, so that nobody else's is touched.
2. Write, flush, fsync: the bytes are on disk before the name exists.
3. ``os.replace`` (or ``os.link`` where the file must be new): the name appears at once.
4. fsync the folder: the name is on disk too.

Accepted: a crash between 1 and 3 leaves a ``.tmp-`` file, which readers ignore. Scope: local and POSIX-like shared file
systems; not object stores.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an error of the system that names no file, as those of open ones do (EIO, ENOSPC), is of ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Put ``content`` at ``path``, whole and durable.

    With ``exclusive`` an existing file is an error (FileExistsError) and stays as it is; otherwise it is replaced.
    Raises OSError (no space, no permission) with nothing left at ``path``.
    """
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make names created in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
