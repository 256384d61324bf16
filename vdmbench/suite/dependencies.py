"""What a cell waits for: the cell whose weights it begins with, and the trials of its tuning.

Both follow from the cell's own declaration, and so a record alone says what must be run again with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from vdmbench.quantities import BUILT_IN, PREDICTION_PROTOCOL
from vdmbench.suite.blocks import Train
from vdmbench.suite.cells import Cell, CellInputs
from vdmbench.suite.expansion import axis_path
from vdmbench.suite.overrides import has_path, set_path

TUNED = "tune."
"""Before the path of the field that a trial tries, in the coordinates of the trial."""


def with_value(inputs: CellInputs, value: Any) -> CellInputs:
    """The cell with ``value`` for the field that it tunes, and nothing left to choose."""
    assert inputs.tune is not None, "only a cell that is tuned takes a value"
    tree = _whole(inputs)
    set_path(tree, inputs.tune.field, value)
    return CellInputs.model_validate({**tree, "tune": None})


def trials_of(inputs: CellInputs) -> list[tuple[Any, CellInputs]]:
    """The trials of a cell, each with the value that it tries: in the order of the grid, then of the seeds.

    A trial is judged at its end, and its learning rate rises over the same share of its steps. One that is judged by its
    training alone samples two batches, which take the memory of all, and judges no clips.
    """
    tune = inputs.tune
    if tune is None:
        return []
    found = []
    for value in tune.values:
        tried = with_value(inputs, value)
        changes: dict[str, Any] = {"train": _shortened(tried.train, tune.steps_of(tried.train.steps))}
        judged: dict[str, Any] = {"at": [1.0]}
        if _needs_no_clips(tune.by):
            judged |= {"metrics": [], "cuts": False, "lpips": False}
            changes["sample"] = as_costly(tried).sample
        changes["evaluate"] = tried.evaluate.model_copy(update=judged)
        trial = tried.model_copy(update=changes)
        found += [(value, trial.with_seed(seed)) for seed in tune.seeds]
    return found


def dependencies(cell: Cell) -> list[Cell]:
    """The cells that must have ended before ``cell`` can begin."""
    return [*_begun_from(cell), *_trials(cell)]


def with_dependencies(cells: Iterable[Cell], among: Iterable[Cell] = ()) -> list[Cell]:
    """``cells`` and all that they wait for, each once and behind what it waits for itself.

    :param among: more cells of the suite: one that is also waited for is that one, and no cell for tuning.
    """
    cells = list(cells)
    known = {cell.identity: cell for cell in (*among, *cells)}
    ordered: dict[str, Cell] = {}
    trials: dict[str, list[Cell]] = {}

    def add(cell: Cell) -> None:
        cell = known.get(cell.identity, cell)
        if cell.identity in ordered:
            return
        alike = cell.inputs.with_seed(0).identity() if cell.inputs.tune is not None else ""
        if alike not in trials:  # of all seeds of a cell, and of all cells that are not tuned
            trials[alike] = _trials(cell)
        for needed in (*_begun_from(cell), *trials[alike]):
            add(needed)
        ordered[cell.identity] = cell

    for cell in cells:
        add(cell)
    return list(ordered.values())


def _begun_from(cell: Cell) -> list[Cell]:
    begins = cell.inputs.init_from
    return [] if begins is None else [_made(cell, begins, _point_of(begins, cell), for_tuning=cell.for_tuning)]


def _trials(cell: Cell) -> list[Cell]:
    tune = cell.inputs.tune
    if tune is None:
        return []
    return [
        _made(cell, trial, {**cell.point, f"{TUNED}{tune.field}": value}, for_tuning=True)
        for value, trial in trials_of(cell.inputs)
    ]


def _made(cell: Cell, inputs: CellInputs, point: dict[str, Any], *, for_tuning: bool) -> Cell:
    return Cell(cell.suite, inputs.variant, point, inputs.seed, inputs, inputs.identity(), for_tuning)


def _point_of(inputs: CellInputs, heir: Cell) -> dict[str, Any]:
    """The coordinates of ``heir`` that concern what it begins with, whose own are among them."""
    tree = _whole(inputs)
    paths = {axis: axis_path(axis, inputs.variant) for axis in heir.point if not axis.startswith(TUNED)}
    return {axis: heir.point[axis] for axis, path in paths.items() if path is not None and has_path(tree, path)}


def _whole(inputs: CellInputs) -> dict[str, Any]:
    """Every field of every block, those that dumps leave out at their defaults included."""
    values = {name: getattr(inputs, name) for name in CellInputs.model_fields}
    return {name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value for name, value in values.items()}


def _shortened(train: Train, steps: int) -> Train:
    """The same training in fewer steps: a warm-up that is declared as a count keeps its share."""
    rise = train.learning_rate_warm_up
    return train.model_copy(update={"steps": steps, "learning_rate_warm_up": rise if rise < 1 else rise / train.steps})


def as_costly(inputs: CellInputs) -> CellInputs:
    """The cell with no more clips than decide the memory of sampling and what a match finds: two batches, of which one is alive
    while the next is begun. Where the batch size is matched all clips count, for no batch is larger."""
    if _samples_are_matched(inputs):
        return inputs
    fewer = min(inputs.sample.clips, 2 * inputs.sample.batch_size)
    return inputs.model_copy(update={"sample": inputs.sample.model_copy(update={"clips": fewer})})


def _needs_no_clips(by: str) -> bool:
    """Whether the quantity is there without a clip being judged."""
    return any(each.name == by and each.source != PREDICTION_PROTOCOL for each in BUILT_IN)


def _samples_are_matched(inputs: CellInputs) -> bool:
    """Whether the solver moves the batch size of sampling, of which there are no more than clips."""
    matches = [match for match in (inputs.match, inputs.match and inputs.match.also) if match is not None]
    return any(match.phase == "sample" and match.knob == "batch_size" for match in matches)
