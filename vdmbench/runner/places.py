"""Where on a machine a cell runs: the GPUs and the CPU cores that it may use, which no other cell of the run shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """A part of one machine. The default is all of it, chosen as PyTorch would: for a cell that runs alone."""

    gpus: tuple[str, ...] = ()
    """UUIDs; none leaves the choice to ``run.device`` and ``CUDA_VISIBLE_DEVICES``."""
    cores: tuple[int, ...] = ()
    """Numbers as the operating system counts; none leaves the worker all that its parent may use."""
    cells_at_once: int = 1
    """Places that the machine was divided into: how many cells may have been running beside each other."""

    def as_environment(self) -> dict[str, Any]:
        """For the record: null where nothing was pinned."""
        return {"cells_at_once": self.cells_at_once, "cores": list(self.cores) or None, "gpus": list(self.gpus) or None}

    def environment_variables(self) -> dict[str, str]:
        """Thread pools as large as the cores that a worker has; none where it has them all."""
        threads = str(len(self.cores))
        return {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads} if self.cores else {}
