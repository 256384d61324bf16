"""A folder that is made in one go, which may be interrupted: making it again with the same options goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vdmbench.data.source import DataError
from vdmbench.file_lock import try_lock
from vdmbench.whole_file import write_json

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make what goes into ``folder`` while no other process does.

    Raises:
        DataError: where another one is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with try_lock(folder / LOCK) as mine:
        if not mine:
            raise DataError(f"another process is making {folder}: wait until it has ended, or give another folder")
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
            if not any(folder.iterdir()):  # refused before anything was made
                folder.rmdir()


def begin(folder: Path, marker: str, declared: Mapping[str, Any], *, finished: Mapping[str, Any] | None, done: str) -> None:
    """Make ``folder`` ready for what ``declared`` describes, or refuse it.

    While it is made, the file ``marker`` holds ``declared``. ``finished`` is what the file ``done``, which is written at the
    end, says that the folder was made of; None where it is not there yet.

    Raises:
        DataError: where the folder was made, or begun, with other options, or holds something else.
    """
    begun = folder / marker
    if finished is not None:
        _check_same(folder / done, finished, declared)
        return
    if begun.exists():
        try:
            before = json.loads(begun.read_bytes())
        except ValueError as error:
            raise DataError(f"{begun} cannot be read ({error}); delete {folder} and begin again") from error
        _check_same(begun, before, declared)
        for pattern in (".*.npy.*", ".*.json.*"):  # files that a process was writing when it was killed
            for leftover in folder.rglob(pattern):
                leftover.unlink(missing_ok=True)
        return
    if folder.exists() and any(file.name != LOCK and not file.name.startswith(f".{marker}.") for file in folder.iterdir()):
        raise DataError(f"{folder} holds something else than what is to be made there; give an empty or new folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(begun, declared)


def _check_same(file: Path, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for name in sorted({*before, *asked}):
        if before.get(name) != asked.get(name):
            raise DataError(f"{file} was made with {name}={before.get(name)!r}, not {asked.get(name)!r}; give another folder")
