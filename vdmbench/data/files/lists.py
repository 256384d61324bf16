"""``train.txt`` and ``test.txt``: which videos belong to which split, a relative path a line."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from vdmbench.data.source import SPLITS, DataError, Split

LISTS = {split: f"{split}.txt" for split in SPLITS}


def listed(root: Path, split: Split) -> list[str]:
    """Names of the videos of ``split``, relative to ``root``; both lists are read, so that they cannot overlap.

    A line is a path, with ``/`` or ``\\`` between its parts; what follows it after a space or a tab, such as the number of a
    class, is left alone. Empty lines, and lines that begin with ``#``, say nothing. Two spellings of a path, and two links to a
    file, are one video.

    Raises:
        DataError: where a list cannot be read or is missing, names what is not there, or a video stands twice.
    """
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    names: dict[str, list[str]] = {}
    for which, file in LISTS.items():
        names[which] = []
        for number, line in enumerate(_lines(root / file), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            here = f"{file}:{number}"
            name = _name(root, line)
            if name is None:
                raise DataError(f"{root / file}:{number} lists {line.strip()}, which is not in {root}")
            status = (root / name).stat()
            place = (status.st_dev, status.st_ino)
            if place in seen:
                before, where = seen[place]
                known = "" if before == name else f" as {before}"
                raise DataError(
                    f"{root / file}:{number} lists {name}, which {where} lists already{known}; a video belongs to one split, "
                    "once"
                )
            seen[place] = (name, here)
            names[which].append(name)
    if not names[split]:
        raise DataError(f"{root / LISTS[split]} lists no video")
    return names[split]


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise DataError(f"{file.parent} has no {file.name}; list the videos of both splits, or put them into train/ and test/")
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()  # with or without a byte-order mark
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no UTF-8 text ({error.reason}); save it as UTF-8") from None


def _name(root: Path, line: str) -> str | None:
    """The longest beginning of a line, up to a space or a tab, that is there; relative to ``root``, in its plain spelling."""
    told = line.strip()
    ends = [len(told), *(at for at in range(len(told) - 1, 0, -1) if told[at] in " \t" and told[at - 1] not in " \t")]
    for end in ends:
        for spelling in dict.fromkeys([told[:end], told[:end].replace("\\", "/")]):
            inside = os.path.relpath(os.path.normpath(root / spelling), os.path.normpath(root))
            if not inside.startswith("..") and inside != "." and (root / inside).exists():
                return PurePosixPath(inside).as_posix()
    return None
