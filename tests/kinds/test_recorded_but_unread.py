"""Kind: **recorded but never read**.

Every field of the record must be read outside the room that defines it and the code that writes it: by a table, a figure, a
warning, the gate, a card or a command. Found unread: `lower_is_better` (now each metric's direction), `alloc_retries`, `ooms`,
`ranks`, `compile_seconds`, `graph_breaks`, counts of an interval (now on a cell's card) and `infinity` (no longer recorded).
Left are the fields of `KEPT`, which no code reads by name: they say how a number came about, for who doubts it.
"""

from __future__ import annotations

import ast
from pathlib import Path

from pydantic import BaseModel

from vdmbench.records import schema
from vdmbench.records.recorded import Recorded

PACKAGE = Path(__file__).parents[2] / "vdmbench"
READERS = ("report", "cli", "quantities.py", "records/measured.py", "records/merging.py", "records/progress.py", "runner")


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
    models = [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, Recorded | BaseModel)]
    return {f"{model.__name__}.{name}" for model in models for name in model.model_fields}


KEPT: set[str] = {
    "DeviceMemory.device_uuid",
    "DeviceMemory.interval_seconds",
    "DeviceMemory.peak_process_bytes",
    "Encoding.reconstructed",
    "Memorisation.held_out_clips",
    "Memorisation.training_clips",
    "Memorisation.training_videos",
    "OutOfMemory.capacity_bytes",
    "OutOfMemory.simulated_need_bytes",
    "Probe.setting",
    "Record.record_schema",
    "Rollout.chunk",
    "Rollout.first_chunk_seconds",
    "Rollout.frame_seconds",
    "Solved.probes",
}


def test_every_field_is_read_or_kept_for_a_reason() -> None:
    read = _read()
    assert {field for field in _fields() if field.rpartition(".")[2] not in read} == KEPT


def test_the_search_sees_a_new_field() -> None:
    assert "field_that_nobody_reads" not in _read()
