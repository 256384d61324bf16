"""Will it fit on the disk? Told before the first second of work, because a save that fails is a cell that failed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from vdmbench.records import ResultsError, ResultsFolder, Solved
from vdmbench.runner.planning import Planned
from vdmbench.suite import CellInputs

KEPT_CHECKPOINTS = 2
_BYTES_PER_PARAMETER = 4
_RECORD = 2**20
"""Record, events and log of one attempt; more than they usually take."""
_PICTURED_CLIPS = 8 + 2 * 8 * 4
"""Clips that stand beside the samples: real ones, and a gif and a sheet of as many, enlarged twice each way."""


def checkpoint_bytes(inputs: CellInputs, solved: Solved) -> int:
    """One checkpoint: weights, two moments of each, and averaged weights where they are kept. All are float32."""
    copies = 3 + (inputs.train.ema is not None)
    return copies * _BYTES_PER_PARAMETER * solved.parameters.network


def cell_bytes(inputs: CellInputs, solved: Solved) -> int:
    """What a finished cell leaves: its checkpoints, its samples as if nothing could be compressed, its record."""
    clip = inputs.sampled_frames * inputs.data.size**2 * 3
    samples = (inputs.sample.clips + _PICTURED_CLIPS) * clip
    earlier = len(inputs.evaluate.at) - 1  # points before the end: weights, and clips of them
    weights = earlier * _BYTES_PER_PARAMETER * solved.parameters.network
    return KEPT_CHECKPOINTS * checkpoint_bytes(inputs, solved) + weights + (1 + earlier) * samples + _RECORD


def refuse_full_disk(results: ResultsFolder, to_run: Sequence[Planned]) -> None:
    """Raise :class:`~vdmbench.records.ResultsError` where the disk has less room than ``to_run`` will take."""
    estimates = [(planned.cell, planned.solved) for planned in to_run if planned.solved is not None]
    if not estimates:
        return
    lasting = sum(
        max(0, cell_bytes(cell.inputs, solved) - _size(results.checkpoint_folder(cell.identity))) for cell, solved in estimates
    )
    # A checkpoint is written whole before the oldest is dropped: one more for a while.
    needed = lasting + max(checkpoint_bytes(cell.inputs, solved) for cell, solved in estimates)
    free = shutil.disk_usage(results.path).free
    if needed > free:
        raise ResultsError(
            f"{results.path}: {len(estimates)} cells to run take about {needed:,} bytes and the disk has {free:,} free; "
            "make room, choose another folder with --results, or run fewer with --max-cells"
        )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0
