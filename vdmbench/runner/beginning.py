"""What a cell needs of others before it can begin: the choice of its trials, and the weights that it begins with.

A cell waits while one of them is still to end. Where one has ended otherwise than it needs, it is blocked: it is never trained
from nothing in place of trained weights, and never with a value that no trial has chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vdmbench.quantities import pick, quantities_of
from vdmbench.records import UNFINISHED, Record, ResultsFolder, Solved, Trial, Tuned
from vdmbench.runner.planning import INDIFFERENT, Planned
from vdmbench.runner.trained_weights import TrainedWeights, WeightsGone
from vdmbench.suite import Cell, CellInputs
from vdmbench.suite.dependencies import trials_of, with_value
from vdmbench.suite.tuning import Tune


@dataclass(frozen=True)
class Beginning:
    """A cell with all that it waited for in place."""

    inputs: CellInputs
    """As it is run: the chosen value in its field."""
    solved: Solved | None
    infeasible: str | None
    tuned: Tuned | None = None
    weights: TrainedWeights | None = None
    read_before: dict[str, str] = field(default_factory=dict)
    """Fingerprint of the training split that the cells behind it read which declare the same data, by their labels."""

    @classmethod
    def as_planned(cls, planned: Planned) -> Beginning:
        """Of a cell that waits for nothing."""
        return cls(planned.cell.inputs, planned.solved, planned.infeasible)


@dataclass(frozen=True)
class Waits:
    """A cell that another one keeps waiting, which may still end well."""

    reason: str


@dataclass(frozen=True)
class Blocked:
    """A cell that cannot begin with what others have come to."""

    reason: str
    tuned: Tuned | None = None


def beginning(planned: Planned, results: ResultsFolder) -> Beginning | Waits | Blocked:
    """What ``planned`` begins with, as the records in ``results`` say."""
    cell, plain = planned.cell, Beginning.as_planned(planned)
    inputs, solved, infeasible, tuned, weights = plain.inputs, plain.solved, plain.infeasible, None, None
    behind: list[Record] = []
    if cell.inputs.tune is not None:
        found = _records_of_trials(cell.inputs, results)
        if isinstance(found, Waits):
            return found
        begun = _begun_before(cell, results)
        tuned = begun.tuned if begun is not None else None
        tuned = tuned or _chosen(cell.inputs.tune, _metrics(cell.inputs), found)
        if tuned.chosen is None:
            worst = next((record for _, record in found if record.message), found[0][1])
            told = f": {worst.message}" if worst.message else ""
            return Blocked(f"no trial of {tuned.field} has a {tuned.by}; {worst.label} is {worst.status}{told}", tuned)
        inputs = with_value(cell.inputs, tuned.chosen)
        behind += [record for _, record in found]
        if tuned.field not in _DECIDES_NO_COST:
            # The trial differs in seed, steps and clips alone, so what was solved for it holds.
            trial = next((record for value, record in found if value == tuned.chosen and record.status == "ok"), begun)
            assert trial is not None, "the choice was made by a trial, or by an attempt before"
            solved, infeasible = trial.solved, None
    if cell.inputs.init_from is not None:
        record = _latest(cell.inputs.init_from.identity(), results)
        name = cell.inputs.init_from.variant
        if record is None or record.status in UNFINISHED - {"skipped"}:
            return Waits(f"the weights of {name} seed={cell.seed} that it begins with are not trained yet")
        if record.status != "ok":
            told = f": {record.message}" if record.message else ""
            return Blocked(f"{record.label}, whose weights it begins with, is {record.status}{told}", tuned)
        try:
            weights = TrainedWeights.of(record, results)
        except WeightsGone as error:
            return Blocked(str(error), tuned)
        behind.append(record)
    return Beginning(inputs, solved, infeasible, tuned, weights, _read_by(behind, cell))


def _read_by(records: Sequence[Record], cell: Cell) -> dict[str, str]:
    data = cell.inputs.model_dump(mode="json")["data"]
    return {
        record.label: record.data["train"]
        for record in records
        if record.declared.get("data") == data and "train" in record.data
    }


def _begun_before(cell: Cell, results: ResultsFolder) -> Record | None:
    """An earlier attempt at the cell with a choice, whose checkpoint is there: what it has trained goes on with that choice,
    also where a trial has ended otherwise since."""
    history = results.history(cell.identity)
    folder = results.checkpoint_folder(cell.identity)
    if history is None or not folder.is_dir() or not any(folder.iterdir()):
        return None
    chosen = [record for record in history.attempts if record.tuned is not None and record.tuned.chosen is not None]
    return chosen[-1] if chosen else None


def chosen_by_trials(inputs: CellInputs, results: ResultsFolder) -> Tuned | None:
    """What the trials in ``results`` choose for a cell; None where nothing is tuned, or a trial has not ended."""
    found = [] if inputs.tune is None else _records_of_trials(inputs, results)
    if inputs.tune is None or isinstance(found, Waits):
        return None
    return _chosen(inputs.tune, _metrics(inputs), found)


def _metrics(inputs: CellInputs) -> list[str]:
    return [metric.name for metric in inputs.evaluate.metrics]


_DECIDES_NO_COST = tuple(f"train.{name}" for name in INDIFFERENT)


def _latest(identity: str, results: ResultsFolder) -> Record | None:
    history = results.history(identity)
    return None if history is None else history.latest


def _records_of_trials(inputs: CellInputs, results: ResultsFolder) -> list[tuple[Any, Record]] | Waits:
    found = []
    for value, trial in trials_of(inputs):
        record = _latest(trial.identity(), results)
        if record is None or record.status in UNFINISHED - {"skipped"}:
            assert inputs.tune is not None, "it has trials"
            return Waits(f"its trial with {inputs.tune.field}={value} and seed {trial.seed} has not ended")
        found.append((value, record))
    return found


def _chosen(tune: Tune, metrics: Sequence[str], found: Sequence[tuple[Any, Record]]) -> Tuned:
    """The value whose trials are best in the mean; a trial without a number makes its value the worst."""
    results = {name: [record.metrics[name] for _, record in found if name in record.metrics] for name in metrics}
    by = pick(tune.by, quantities_of(results))
    trials = [
        Trial(
            identity=record.identity,
            value=value,
            seed=record.seed,
            status=record.status,
            score=by.read(record) if record.status == "ok" else None,
        )
        for value, record in found
    ]
    tuned = Tuned(field=tune.field, by=tune.by, trials=trials)
    ranks = [math.inf if mean is None else by.sign * mean for mean in tuned.means().values()]
    best = min(range(len(ranks)), key=ranks.__getitem__)
    if not math.isfinite(ranks[best]):
        return tuned
    chosen = tune.values[best]
    return tuned.model_copy(update={"chosen": chosen, "edge": edge(tune.values, chosen)})


def edge(values: Sequence[Any], chosen: Any) -> Literal["smallest", "largest"] | None:
    """Which end of a grid of numbers was chosen; None inside it, and where values are no numbers."""
    if chosen is None or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    if chosen == min(values):
        return "smallest"
    return "largest" if chosen == max(values) else None


def edge_warnings(tuned: Tuned | None) -> list[str]:
    """That a choice is an end of its grid, as a line; nothing of another."""
    if tuned is None or tuned.edge is None:
        return []
    more = "smaller" if tuned.edge == "smallest" else "larger"
    return [
        f"tune: {tuned.field} {tuned.chosen:g} is the {tuned.edge} of the grid, and the best by {tuned.by} may lie beyond it: "
        f"add {more} values"
    ]
