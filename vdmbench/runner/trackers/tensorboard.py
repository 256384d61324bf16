"""Curves as TensorBoard event files, below the results folder: ``tensorboard --logdir RESULTS/tensorboard``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vdmbench.records import Record
from vdmbench.suite import Cell


class TensorBoard:
    """A folder of event files for each cell; a cell that is resumed goes on in its own.

    Written by tensorboardX, which needs neither TensorFlow nor torch, so that the supervising process stays small.
    Raises ImportError where it is missing.
    """

    def __init__(self, results: Path) -> None:
        from tensorboardX import SummaryWriter

        self._make_writer, self._folder = SummaryWriter, results / "tensorboard"
        self._writers: dict[str, Any] = {}

    def cell_started(self, cell: Cell) -> None:
        folder = self._folder / f"{cell.variant}-{cell.identity}"
        writer = self._writers[cell.identity] = self._make_writer(str(folder), flush_secs=10)
        declared = json.dumps(cell.inputs.model_dump(mode="json"), indent=1, sort_keys=True)
        writer.add_text("label", cell.label)
        writer.add_text("declared", "\n".join(f"    {line}" for line in declared.splitlines()))

    def scalars(self, cell: Cell, numbers: dict[str, float], step: int) -> None:
        for name, number in numbers.items():
            self._writers[cell.identity].add_scalar(name, number, step)

    def cell_ended(self, cell: Cell, record: Record) -> None:
        writer = self._writers.pop(cell.identity)
        writer.add_text("status", f"{record.status} {record.message or ''}".strip())
        writer.close()

    def close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()
