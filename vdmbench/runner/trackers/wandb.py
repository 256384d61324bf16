"""Curves in Weights & Biases, or, with ``WANDB_MODE=offline``, in its folder below the results for a later ``wandb sync``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vdmbench.records import Record
from vdmbench.suite import Cell


class WeightsAndBiases:
    """A run for each cell, grouped by variant; a cell that is resumed goes on in its own, which its identity names.

    Raises ImportError where the package is missing.
    """

    def __init__(self, results: Path) -> None:
        import wandb

        self._wandb: Any = wandb
        self._results = results
        self._runs: dict[str, Any] = {}

    def cell_started(self, cell: Cell) -> None:
        self._runs[cell.identity] = self._wandb.init(
            project=f"vdmbench-{cell.suite}",
            id=cell.identity,
            name=cell.label,
            group=cell.variant,
            config=cell.inputs.model_dump(mode="json"),
            dir=str(self._results),
            resume="allow",
            reinit="create_new",
        )

    def scalars(self, cell: Cell, numbers: dict[str, float], step: int) -> None:
        self._runs[cell.identity].log(numbers, step=step)

    def cell_ended(self, cell: Cell, record: Record) -> None:
        run = self._runs.pop(cell.identity)
        run.summary["status"] = record.status
        run.finish(exit_code=0 if record.status == "ok" else 1)

    def close(self) -> None:
        while self._runs:
            self._runs.popitem()[1].finish(exit_code=1)
