"""Kind: **a size in bytes that is shown as a bare number**, such as 17179869184 on an axis or in a label.

A swept size was shown as it was written: as text with its unit in one suite, as eleven digits in the next, sorted as text, and
not found by a claim that wrote it otherwise. Every field of a cell that holds a size is listed below; `vdmbench/cell_label.py`
reads and writes their values, and every place that shows a sweep coordinate asks it. `run.memory_limit` is of no cell and
cannot be swept. Left are the raw points of records and of `--json`, which are as they were declared.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from vdmbench.byte_sizes import exact_bytes, parse_bytes
from vdmbench.cell_label import BYTE_SIZED, cell_label, coordinate, coordinate_text
from vdmbench.suite import CellInputs

PACKAGE = Path(__file__).parents[2] / "vdmbench"
NOT_SHOWN = {
    "cell_label.py",  # asks itself
    "report/frame.py",  # numbers, through coordinate()
    "report/study.py",  # the key of a cell, through coordinate(), and captions, through coordinate_text()
    "report/planned_memory.py",
    "cli/tables.py",
    "runner/schedule.py",  # a key
    "suite/expansion.py",  # from a declaration to its cells
    "records/experiments.py",  # declarations side by side, as they were written
}
"""Files that go through the items of a point."""


MOST_DEEP = 3
"""Blocks within blocks that are looked at; a match may hold another."""


def _sizes(model: type[BaseModel], path: tuple[str, ...] = ()) -> set[str]:
    """Paths of fields that are read by :func:`parse_bytes`."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        if parse_bytes in [getattr(each, "func", None) for each in _annotations(field)]:
            found.add(".".join((*path, name)))
        for inner in _models(field.annotation) if len(path) < MOST_DEEP else ():
            found |= _sizes(inner, (*path, name))
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model in an annotation, however deep it stands in unions and ``Annotated``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _annotations(field: Any) -> list[Any]:
    found = list(field.metadata)
    for inner in get_args(field.annotation):
        found += getattr(inner, "__metadata__", ())
    return found


def test_every_field_that_holds_a_size_is_known() -> None:
    nowhere = ("also.also", "init_from.")  # a match of three goals is refused; another cell's fields are not swept through it
    assert {path for path in _sizes(CellInputs) if not any(each in path for each in nowhere)} == set(BYTE_SIZED)


def test_a_size_reads_the_same_however_it_is_written() -> None:
    for written in ("16GiB", "16.0 GiB", "16384MiB", 2**34):
        assert coordinate("match.budget", written) == 2**34
        assert coordinate_text("match.budget", written) == "16 GiB"
        assert cell_label("a", {"match.budget": written}, 0) == "a budget=16GiB seed=0"
    assert coordinate_text("match.target", 2**34) == str(2**34)
    assert coordinate("data.frames", "16GiB") == "16GiB"


def test_no_byte_is_lost_in_what_is_shown() -> None:
    for size in (1, 1000, 12345, 2**20, 3 * 2**29, 16 * 10**9, 2**34 + 1, 123_456_789, 2**50):
        assert parse_bytes(exact_bytes(size).replace(" ", "")) == size


def test_whoever_goes_through_a_point_is_listed() -> None:
    sites = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items"
            if call and ast.unparse(node.func.value).split(".")[-1] in ("point", "coordinates"):
                sites.add(str(file.relative_to(PACKAGE)))
    assert sites <= NOT_SHOWN, "show a coordinate by cell_label.coordinate_text, and list the file here"
