"""Unpack archives of videos, trusting nothing that they say of where their files belong."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from vdmbench.data.source import DataError
from vdmbench.whole_file import whole_file

_CHUNK = 2**20
Open = Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether it is a zip, or a tar, however compressed."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack(archive: Path, into: Path, *, progress: Callable[[int], None] | None = None) -> Path:
    """Unpack all files of a zip or tar under ``into``; files that are there whole already are left.

    Returns the folder that holds the data: ``into``, or the only folder in it.

    Args:
        progress: called with the number of files done, after each.

    Raises:
        DataError: where the archive is damaged, does not fit the disk, or holds a path that leads elsewhere or a link.
    """
    into.mkdir(parents=True, exist_ok=True)
    for leftover in into.rglob(".*.unpacking.*"):
        leftover.unlink(missing_ok=True)
    done = 0
    try:
        for name, size, opened in _members(archive):
            target = _target(archive, into, name)
            if target in (into, *into.parents) or (target.exists() and not target.is_file()):
                raise DataError(f"{archive} holds a file {name!r} where there is a folder")
            if not target.exists() or target.stat().st_size != size:
                if size > shutil.disk_usage(into).free:
                    raise DataError(
                        f"{archive} does not fit: {name} takes {size / 2**20:.0f} MiB, and {into} has less; free "
                        "some, or prepare into another place"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened() as source, whole_file(target) as file:
                    shutil.copyfileobj(source, file, _CHUNK)
            done += 1
            if progress is not None:
                progress(done)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(f"{archive} is damaged, cut off or encrypted ({error}); fetch it again") from error
    return inner_folder(into)


def inner_folder(folder: Path) -> Path:
    """Down through folders that hold nothing but one folder: archives often wrap their content."""
    while True:
        held = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(held) != 1 or not held[0].is_dir() or held[0].name in ("train", "test"):
            return folder
        folder = held[0]


def _members(archive: Path) -> Iterator[tuple[str, int, Open]]:
    """Name, size and content of each file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise _refused(archive, member.filename, "is a link")
                if not member.is_dir():
                    yield member.filename, member.file_size, lambda member=member: opened.open(member)  # type: ignore[misc]
        return
    with tarfile.open(archive) as tar:
        for entry in tar:
            if not entry.isfile() and not entry.isdir():
                raise _refused(archive, entry.name, "is a link or a device")
            if entry.isfile():
                yield entry.name, entry.size, lambda entry=entry: tar.extractfile(entry)  # type: ignore[misc]


def _target(archive: Path, into: Path, name: str) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts:
        raise _refused(archive, name, "names no file")
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise _refused(archive, name, "leads out of the folder to unpack into")
    return into / path


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive} holds {name!r}, which {why}; no honest packer makes that, so nothing more of it is unpacked")
