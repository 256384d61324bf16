"""Which cells of a suite a command means: by variant, by identity or by a pattern."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from vdmbench.suite import Cell

SHORTEST_PREFIX = 4
"""Digits of an identity that may stand for all of it."""


class NothingSelected(ValueError):
    """A selection that no cell answers to."""


def meant(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cells of the variant ``name``; else the one of that identity or label; else those whose identity begins so, or that
    have a variant, identity or label of this glob. An exact name never means more than itself."""
    exact = [[cell for cell in cells if cell.variant == name], [cell for cell in cells if name in (cell.identity, cell.label)]]
    return next(filter(None, exact), None) or [
        cell
        for cell in cells
        if (len(name) >= SHORTEST_PREFIX and cell.identity.startswith(name))
        or any(fnmatchcase(known, name) for known in (cell.variant, cell.identity, cell.label))
    ]


def select(cells: Sequence[Cell], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Cell]:
    """The cells that one of ``only`` means (all, where it is empty) and none of ``exclude``, in their order.

    :raises NothingSelected: a name that no cell answers to, or nothing is left.
    """
    chosen: dict[str, set[str]] = {}
    for option, names in (("--only", only), ("--exclude", exclude)):
        found = {name: meant(cells, name) for name in names}
        for name, answering in found.items():
            if not answering:
                raise NothingSelected(f"{option} {name}: no cell answers to it; {_closest(cells, name)}")
        chosen[option] = {cell.identity for answering in found.values() for cell in answering}
    left = [
        cell for cell in cells if (not only or cell.identity in chosen["--only"]) and cell.identity not in chosen["--exclude"]
    ]
    if not left:
        raise NothingSelected(f"--exclude leaves none of the {len(cells)} cells: leave out one of {', '.join(exclude)}")
    return left


def _closest(cells: Sequence[Cell], name: str) -> str:
    known = dict.fromkeys([cell.variant for cell in cells] + [cell.label for cell in cells])
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"variants: {', '.join(dict.fromkeys(cell.variant for cell in cells))}"
