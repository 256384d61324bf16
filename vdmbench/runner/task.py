"""What the supervising parent hands to a worker: one JSON file in the attempt's folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from vdmbench.records import Solved
from vdmbench.runner.trained_alike import TrainedNetwork
from vdmbench.runner.trained_weights import TrainedWeights
from vdmbench.suite import CellInputs
from vdmbench.suite.blocks import Run

TASK_FILE = "task.json"


class Task(BaseModel):
    """A resolved cell and where its things go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: str | None = None
    """Identity of the cell; null in tasks from before it was kept."""
    inputs: CellInputs
    """As they are run: a value that trials have chosen in its field."""
    solved: Solved
    run: Run
    checkpoint_folder: Path
    reference_cache: Path
    """Folder of reference features, shared by the cells of a suite."""
    trained_alike: TrainedNetwork | None = None
    """What another cell has trained alike, for a cell that has no checkpoint of its own."""
    weights: TrainedWeights | None = None
    """What the network begins with; None where it is drawn."""
    read_before: dict[str, str] = Field(default_factory=dict)
    """Fingerprint of the training split that cells read which this one rests on and which declare the same data, by label."""

    def write(self, folder: Path) -> None:
        (folder / TASK_FILE).write_text(self.model_dump_json(indent=1))

    @classmethod
    def read(cls, folder: Path) -> Task:
        return cls.model_validate_json((folder / TASK_FILE).read_text())
