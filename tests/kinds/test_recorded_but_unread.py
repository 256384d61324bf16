"""Kind: **recorded but never read**.

Every field of the record must be read outside the room that defines it and the code that writes it: by a table, a figure, a
warning, the gate, a card or a command. Found unread: `lower_is_better` (now each metric's direction), `alloc_retries`, `ooms`,
`ranks`, `compile_seconds`, `graph_breaks`, counts of an interval (now on a cell's card) and `infinity` (no longer recorded).
Left are the fields of `KEPT`, each with its reason. A field of a common name (`name`, `seconds`) passes the search by another
field's reader.
"""

from __future__ import annotations

import ast
from pathlib import Path

from pydantic import BaseModel

from vdmbench.records import metric_result, schema
from vdmbench.records.recorded import Recorded

PACKAGE = Path(__file__).parents[2] / "vdmbench"
READERS = (
    "report",
    "cli",
    "quantities.py",
    "memory_quantities.py",
    "records/measured.py",
    "records/merging.py",
    "records/progress.py",
    "runner",
)


def _read() -> set[str]:
    names: set[str] = set()
    for place in READERS:
        path = PACKAGE / place
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    names.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names.add(node.value)
    return names


def _fields() -> set[str]:
    models = [
        each
        for each in (*vars(schema).values(), *vars(metric_result).values())
        if isinstance(each, type) and issubclass(each, Recorded | BaseModel)
    ]
    return {f"{model.__name__}.{name}" for model in models for name in model.model_fields}


KEPT: dict[str, str] = {
    "DeviceMemory.device_uuid": "the card shows the whole of DeviceMemory, field by field",
    "DeviceMemory.interval_seconds": "the same",
    "DeviceMemory.peak_process_bytes": "the same",
    "Record.record_schema": "read where records are: a later one is refused, one from before digests is said to be unsigned",
}


def test_every_field_is_read_or_kept_for_a_reason() -> None:
    read = _read()
    assert {field for field in _fields() if field.rpartition(".")[2] not in read} == set(KEPT)


def test_the_search_sees_a_new_field() -> None:
    assert "field_that_nobody_reads" not in _read()
