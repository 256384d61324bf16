"""What a results folder's suite declares, which records are counted against: cells that never ran among it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vdmbench.records import Attempt, Record, ResultsFolder
from vdmbench.report.items import reason
from vdmbench.report.results import Cell, results_folders
from vdmbench.suite import Cell as DeclaredCell
from vdmbench.suite import Suite, expand, parse_suite


@dataclass(frozen=True)
class DeclaredSuite:
    """The suite as it was run last, with all its cells."""

    suite: Suite | None
    """Null where none is kept, several folders keep different ones, or it cannot be read here."""
    cells: tuple[DeclaredCell, ...] = ()
    note: str | None = None
    """Why it is not there."""

    def own_settings(self, variant: str) -> frozenset[str]:
        """Paths that a variant sets for itself."""
        return frozenset(self.suite.variants[variant].set) if self.suite is not None else frozenset()


def declared_suite(paths: Iterable[Path]) -> DeclaredSuite:
    """The suite that all results folders at ``paths`` keep."""
    kept: dict[str, Path] = {}
    for path in paths:
        for folder in results_folders(path):
            if (text := ResultsFolder(folder).suite()) is not None:
                kept.setdefault(text, folder)
    if len(kept) > 1:
        note = f"{len(kept)} different suites are kept in these folders: no claim is judged, and no cell is missed."
        return DeclaredSuite(None, note=note)
    if not kept:
        return DeclaredSuite(None)
    text, folder = kept.popitem()
    return _read(text, str(folder / "suite.json"))


@lru_cache(maxsize=8)
def _read(text: str, file: str) -> DeclaredSuite:
    try:
        suite, lines = parse_suite(text, file)
        return DeclaredSuite(suite, tuple(expand(suite, lines)))
    except ValueError as error:  # another version of vdmbench, a user's file that is not here, a damaged file
        note = f"The kept suite cannot be read, so no claim is judged and no cell is missed: {reason(error)}."
        return DeclaredSuite(None, note=note)


def not_run(declared: DeclaredSuite, found: Iterable[Cell]) -> list[Cell]:
    """The declared cells that no record of ``found`` is of, as cells without an attempt."""
    begun = {cell.record.identity for cell in found}
    return [_without_attempt(cell, declared) for cell in declared.cells if cell.identity not in begun]


def _without_attempt(cell: DeclaredCell, declared: DeclaredSuite) -> Cell:
    attempt = Attempt(id="none", ordinal=1, host="", boot_id="", pid=0, process_started=0.0, started="")
    record = Record(
        identity=cell.identity,
        suite=cell.suite,
        variant=cell.variant,
        point=cell.point,
        seed=cell.seed,
        declared=cell.inputs.model_dump(mode="json"),
        attempt=attempt,
        status="skipped",
    )
    return Cell(record, attempts=0, own=declared.own_settings(cell.variant))
