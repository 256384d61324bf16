"""Searches over the syntax tree of the package, for the tests of kinds of fault."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import vdmbench

PACKAGE = Path(vdmbench.__file__).parent


def modules(*rooms: str) -> Iterator[Path]:
    """The Python files of the given rooms (folders or files below the package); of the whole package where none is given."""
    for room in rooms or (".",):
        path = PACKAGE / room
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def places(found: Callable[[ast.AST], bool], *rooms: str) -> dict[str, int]:
    """``module.py:function`` to the number of nodes in it that ``found`` picks; nested names are joined by dots."""
    counts: dict[str, int] = {}

    def visit(node: ast.AST, module: str, names: tuple[str, ...]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = (*names, node.name)
        if found(node):
            place = f"{module}:{'.'.join(names)}"
            counts[place] = counts.get(place, 0) + 1
        for child in ast.iter_child_nodes(node):
            visit(child, module, names)

    for path in modules(*rooms):
        visit(ast.parse(path.read_text()), path.relative_to(PACKAGE).as_posix(), ())
    return counts


def called(node: ast.AST) -> str | None:
    """The last part of the name of what a call calls; None for everything else."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else None
