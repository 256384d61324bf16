"""Find one cell by what people call it: an identity or its beginning, or words of its label."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vdmbench.records import CellHistory, ResultsFolder

CellName = Annotated[
    str,
    typer.Argument(
        metavar="CELL", help="Identity of the cell or its first characters, or words of its label, such as 'mamba seed=0'."
    ),
]
WhereToLook = Annotated[Path, typer.Option("--results", "-r", help="A results folder, or a folder of them.", file_okay=False)]
DEFAULT_RESULTS = Path("results")

_MOST_CANDIDATES = 10


class NoSuchCell(ValueError):
    """A name that no cell answers to, or more than one."""


@dataclass(frozen=True)
class Found:
    """A cell, and the results folder that holds it."""

    results: ResultsFolder
    history: CellHistory

    @property
    def named(self) -> str:
        return f"{self.history.latest.label} ({self.history.identity} in {self.results.path})"


def find_cell(name: str, where: Path) -> Found:
    """The one cell that answers to ``name``. Raises :class:`NoSuchCell` with the candidates."""
    from vdmbench.records import ResultsError, ResultsFolder
    from vdmbench.report.results import results_folders

    folders = [ResultsFolder(path) for path in results_folders(where)]
    if not folders:
        raise ResultsError(f"{where}: no results there; name a folder with --results, or run a suite first")
    known = [Found(folder, history) for folder in folders for history in folder.histories()]
    exact = [each for each in known if name in (each.history.identity, each.history.latest.label)]
    matches = exact or [each for each in known if _answers_to(each, name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise NoSuchCell(f"{name}: {len(matches)} cells answer to it, name one: {_listed(matches)}")
    labels = {each.history.latest.label: each for each in known}
    close = [labels[label] for label in difflib.get_close_matches(name, labels, n=3, cutoff=0.3)]
    raise NoSuchCell(f"{name}: no cell in {where} answers to it; there are: {_listed(close or known)}")


def _answers_to(found: Found, name: str) -> bool:
    words = name.split()
    return found.history.identity.startswith(name) or (bool(words) and set(words) <= set(found.history.latest.label.split()))


def _listed(cells: list[Found]) -> str:
    more = f" and {len(cells) - _MOST_CANDIDATES} more" if len(cells) > _MOST_CANDIDATES else ""
    return "; ".join(each.named + _unlike(each, cells) for each in cells[:_MOST_CANDIDATES]) + more


def _unlike(found: Found, among: list[Found]) -> str:
    """What a cell declares otherwise than the first one of the same label, which a name does not tell from it."""
    from vdmbench.records.experiments import Declaration, difference

    record = found.history.latest
    first = next(each.history.latest for each in among if each.history.latest.label == record.label)
    if first.identity == record.identity:
        return ""
    told = difference(*(Declaration(each.variant, each.point, each.declared, videos=each.data) for each in (first, record)))
    return f", declared otherwise than the first ({told})" if told else ""
