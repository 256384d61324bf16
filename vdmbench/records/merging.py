"""Bring results folders together: the union of their finished attempts, each copied whole or not at all.

An attempt is one immutable folder with a name of its own, so merging is copying what is not there yet. Attempts without a
record are left where they are, and so are checkpoints: both belong to who is running them. Nothing is copied where two folders
disagree on the bytes of one attempt.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vdmbench.records.experiments import Declaration, differences, experiments
from vdmbench.records.schema import Record
from vdmbench.records.store import ResultsError, ResultsFolder
from vdmbench.whole_file import fsync_folder, naming

_TEMPORARY = ".tmp-"


@dataclass
class Merged:
    """What a merge did."""

    copied: list[Path] = field(default_factory=list)
    """Attempts that are new, relative to the results folder."""
    present: int = 0
    """Attempts that were there already, byte for byte."""
    unfinished: list[Path] = field(default_factory=list)
    """Attempts without a record, left where they are."""
    unusable: list[str] = field(default_factory=list)
    """Attempts that are damaged, were changed, or lie in a wrong place, and are not copied: the reasons."""
    otherwise: list[str] = field(default_factory=list)
    """What the sources declare otherwise than one another under one name, a line a field: ``train.steps: 400 / 800``."""


def merge_results(sources: Sequence[ResultsFolder], target: ResultsFolder) -> Merged:
    """Copy every finished attempt of ``sources`` that ``target`` has not.

    :raises ResultsError: a source holds no results, or one attempt has different bytes in two folders; nothing was copied then.
    """
    merged, wanted, declared = Merged(), dict[Path, Path](), _Declared()
    for source in sources:
        own = source.own_settings()
        for history in source.histories():
            declared.add(history.latest, own)
            for attempt in source.attempt_folders(history.identity):
                name = Path("cells", history.identity, "attempts", attempt.path.name)
                if not attempt.record.exists():
                    merged.unfinished.append(attempt.path)
                    continue
                if attempt.path in source.unusable:
                    continue
                if name in wanted:
                    _refuse_conflict(wanted[name], attempt.path)
                wanted.setdefault(name, attempt.path)
        merged.unusable += source.unusable.values()
    if (target.path / "folder.json").exists():
        own = target.own_settings()
        for history in target.histories():
            declared.add(history.latest, own)
    merged.otherwise = declared.otherwise()
    target.prepare()
    for name, path in list(wanted.items()):
        if (target.path / name).exists():
            _refuse_conflict(target.path / name, path)
            merged.present += 1
            del wanted[name]
    staging = target.path / f".merging-{secrets.token_hex(6)}"
    try:
        for number, (name, path) in enumerate(wanted.items()):
            _copy(path, staging / str(number))
            _place(staging / str(number), target.path / name)
            merged.copied.append(name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if target.suite() is None and (kept := next((suite for source in sources if (suite := source.suite())), None)):
        target.keep_suite(kept)
    return merged


class _Declared:
    """What records declare, by suite. Only that is kept of a record, and equal parts of it once: folders hold many."""

    def __init__(self) -> None:
        self._of_suite: dict[str, list[Declaration]] = {}
        self._parts: dict[str, Any] = {}

    def add(self, record: Record, own: Mapping[str, frozenset[str]]) -> None:
        if record.for_tuning:
            return
        inputs = {name: self._once(part) for name, part in record.declared.items()}
        declaration = Declaration(record.variant, record.point, inputs, own.get(record.variant, frozenset()), record.data)
        self._of_suite.setdefault(record.suite, []).append(declaration)

    def _once(self, part: Any) -> Any:
        return self._parts.setdefault(json.dumps(part), part)

    def otherwise(self) -> list[str]:
        """In what the records of one suite are different experiments; nothing where they are one."""
        lines = []
        for of_suite in self._of_suite.values():
            found = experiments(of_suite)
            lines += differences(found) if len(found) > 1 else []
        return lines


def _files(folder: Path) -> set[str]:
    """Relative paths of the files in an attempt's folder, without what a killed write left."""
    found, waiting = set(), [""]
    while waiting:
        below = waiting.pop()
        with naming(folder / below), os.scandir(folder / below) as entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                elif not entry.is_file(follow_symlinks=False):
                    raise ResultsError(
                        f"{folder / name}: neither file nor folder; an attempt holds nothing else, so this one is not merged"
                    )
                elif not entry.name.startswith(_TEMPORARY):
                    found.add(name)
    return found


def _differing(one: Path, other: Path) -> str | None:
    """A file that is not the same in both attempts."""
    first, second = _files(one), _files(other)
    return next((name for name in sorted(first | second) if name not in first & second or not _same(one, other, name)), None)


def _same(one: Path, other: Path, name: str) -> bool:
    """Whether a file holds the same bytes in both folders; read, and not told by size and time."""
    with (
        naming(one / name),
        open(f"{one}/{name}", "rb") as first,
        naming(other / name),
        open(f"{other}/{name}", "rb") as second,
    ):
        while (piece := first.read(_PIECE)) == second.read(_PIECE):
            if not piece:
                return True
    return False


_PIECE = 1 << 20


def _refuse_conflict(one: Path, other: Path) -> None:
    if (name := _differing(one, other)) is not None:
        raise ResultsError(
            f"{one} and {other} are the same attempt and differ in {name}; an attempt never changes, so one of them was "
            "damaged or edited: move that one away. Nothing was merged"
        )


def _copy(source: Path, copy: Path) -> None:
    """Copy an attempt, make it durable, and read it back against the original."""
    folders = set[str]()
    for name in sorted(_files(source)):
        original, written = f"{source}/{name}", f"{copy}/{name}"
        if (parent := os.path.dirname(written)) not in folders:
            os.makedirs(parent, exist_ok=True)
            folders.add(parent)
        with naming(source / name), open(original, "rb") as file, naming(copy / name), open(written, "xb") as other:
            shutil.copyfileobj(file, other, _PIECE)
            other.flush()
            os.fsync(other.fileno())
        shutil.copystat(original, written)
    if (name_of_wrong := _differing(source, copy)) is not None:
        raise ResultsError(f"{source / name_of_wrong}: read differently twice, or changed while it was copied; merge again")


def _place(copy: Path, place: Path) -> None:
    """Give a complete copy its name: readers see the whole attempt or none of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for folder, _, _ in os.walk(copy):
        fsync_folder(Path(folder))
    os.rename(copy, place)
    fsync_folder(place.parent)
