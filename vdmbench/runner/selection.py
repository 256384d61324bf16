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


def answers_to(cell: Cell, name: str) -> bool:
    """Whether ``name`` is the cell's variant, its identity or the beginning of it, its label, or a glob of one of them."""
    if len(name) >= SHORTEST_PREFIX and cell.identity.startswith(name):
        return True
    return any(name == known or fnmatchcase(known, name) for known in (cell.variant, cell.identity, cell.label))


def select(cells: Sequence[Cell], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Cell]:
    """The cells that answer to one of ``only`` (all, where it is empty) and to none of ``exclude``, in their order.

    :raises NothingSelected: a name that no cell answers to, or nothing is left.
    """
    for option, names in (("--only", only), ("--exclude", exclude)):
        for name in names:
            if not any(answers_to(cell, name) for cell in cells):
                raise NothingSelected(f"{option} {name}: no cell answers to it; {_closest(cells, name)}")
    chosen = [
        cell
        for cell in cells
        if (not only or any(answers_to(cell, name) for name in only)) and not any(answers_to(cell, name) for name in exclude)
    ]
    if not chosen:
        raise NothingSelected(f"--exclude leaves none of the {len(cells)} cells: leave out one of {', '.join(exclude)}")
    return chosen


def _closest(cells: Sequence[Cell], name: str) -> str:
    known = dict.fromkeys([cell.variant for cell in cells] + [cell.label for cell in cells])
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"variants: {', '.join(dict.fromkeys(cell.variant for cell in cells))}"
