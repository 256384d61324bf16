"""Read results folders into the cells a report is made of, and say which records were set aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vdmbench.records import Record, ResultsError, ResultsFolder, unsigned_note


@dataclass(frozen=True)
class Cell:
    """The record that counts for one declared experiment on one class of hardware, and where its files are."""

    record: Record
    folder: Path | None = None
    """Of the attempt; None for a record that was not read from disk."""
    attempts: int = 1
    """0 of a cell that is declared and was never begun."""
    own: frozenset[str] = frozenset()
    """Paths that the cell's variant sets for itself."""
    experiment: str | None = None
    """Suite and what tells its experiments apart, where a study shows several of one suite."""

    @property
    def suite(self) -> str:
        """What the cell is counted under: its suite, or one experiment of it."""
        return self.experiment or self.record.suite

    @property
    def status(self) -> str:
        """As its record says, or that it was not run."""
        return self.record.status if self.attempts else "not run"

    def artifact(self, name: str) -> Path | None:
        """The file that the record names ``name`` or that is called so; None where there is none.

        A path that leaves the attempt's folder is refused (ResultsError): records may come from elsewhere.
        """
        if self.folder is None:
            return None
        for key, relative in self.record.artifacts.items():
            if name in (key, Path(relative).name):
                path = (self.folder / relative).resolve()
                if not path.is_relative_to(self.folder.resolve()):
                    raise ResultsError(f"{self.folder}/record.json: artifact '{key}' points outside its folder: {relative}")
                return path if path.is_file() else None
        return None


def results_folders(path: Path) -> list[Path]:
    """The results folders at ``path``: itself, or those one level below, in order of name."""
    if (path / "folder.json").exists():
        return [path]
    return sorted(marker.parent for marker in path.glob("*/folder.json"))


def read_results(paths: Iterable[Path], notes: list[str] | None = None) -> list[Cell]:
    """Every cell found under ``paths`` but those that only serve tuning, ordered by the start of its first attempt.

    The same cell, from two folders or merged into one, counts once a hardware cohort: the last that is ok. What is to be known
    of records that do not count, or have no digest, is added to ``notes``, a line each.
    Raises :class:`~vdmbench.records.ResultsError` where a path holds no results at all.
    """
    notes = [] if notes is None else notes
    found: dict[tuple[str, str | None], Cell] = {}
    first_start: dict[tuple[str, str | None], str] = {}
    for path in paths:
        folders = results_folders(path)
        if not folders:
            raise ResultsError(f"{path}: no results there; run a suite first (vdmbench run SUITE)")
        for folder in map(ResultsFolder, folders):
            own = folder.own_settings()
            for history in folder.histories():
                started = history.attempts[0].attempt.started
                for record in history.latest_by_cohort:
                    if record.for_tuning:
                        continue
                    cell = Cell(
                        record,
                        folder.folder_of(record).path,
                        len(history.attempts),
                        own.get(record.variant, frozenset()),
                    )
                    key = (record.identity, record.cohort)
                    first_start[key] = min(first_start.get(key, started), started)
                    if key not in found or record.status == "ok" or found[key].record.status != "ok":
                        found[key] = cell
            notes += folder.unusable.values()
    if not found:
        few = f"; {notes[0]}" if notes else ""
        raise ResultsError(
            f"{', '.join(map(str, paths)) or 'no folder'}: not one record that can be used; run a suite first "
            f"(vdmbench run SUITE){few}"
        )
    notes += unsigned_note([cell.record for cell in found.values()])
    return [found[key] for key in sorted(found, key=lambda key: (first_start[key], key[0], key[1] or ""))]


def as_cells(records: Sequence[Record | Cell]) -> list[Cell]:
    """Bare records as cells without files."""
    return [item if isinstance(item, Cell) else Cell(item) for item in records]
