"""What the supervising parent hands to a worker: one JSON file in the attempt's folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vdmbench.records import Solved
from vdmbench.runner.trained_alike import TrainedNetwork
from vdmbench.runner.trained_weights import TrainedWeights
from vdmbench.suite import CellInputs
from vdmbench.suite.blocks import Run

TASK_FILE = "task.json"


class Task(BaseModel):
    """A resolved cell and where its things go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: CellInputs
    solved: Solved
    run: Run
    checkpoint_folder: Path
    reference_cache: Path
    """Folder of reference features, shared by the cells of a suite."""
    trained_alike: TrainedNetwork | None = None
    """What another cell has trained alike, for a cell that has no checkpoint of its own."""
    weights: TrainedWeights | None = None
    """What the network begins with; None where it is drawn."""

    def write(self, folder: Path) -> None:
        (folder / TASK_FILE).write_text(self.model_dump_json(indent=1))

    @classmethod
    def read(cls, folder: Path) -> Task:
        return cls.model_validate_json((folder / TASK_FILE).read_text())
