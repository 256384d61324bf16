"""What `vdmbench plan` says of what cells wait for: trials, the choices that were made of them, and weights of other cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vdmbench.cli.tables import by_point, count
from vdmbench.cli.terminal import simple_table, styled

if TYPE_CHECKING:
    from rich.table import Table

    from vdmbench.records import Tuned
    from vdmbench.runner.planning import Planned
    from vdmbench.suite import Suite


def tuning_line(cells: Sequence[Planned], declared: Suite) -> str | None:
    """How many cells serve the suite's tuning, and their share of all work; None where nothing is tuned."""
    from vdmbench.runner.schedule import work

    tune = declared.tune
    serving = [planned for planned in cells if planned.cell.for_tuning]
    if tune is None or not serving:
        return None
    flops, whole = sum(map(work, serving)), sum(map(work, cells))
    share = f", {100 * flops / whole:.0f} % of all" if whole else ""
    values = ", ".join(str(value) for value in tune.values)
    seeds = ", ".join(map(str, tune.seeds))
    length = f"{tune.steps:.0%} of the steps" if isinstance(tune.steps, float) else f"{tune.steps} steps"
    return (
        f"tuning: {tune.field} of {values} by {tune.by}: {len(serving)} cells run first, {length} on seed {seeds}; "
        f"{count(flops)} FLOPs{share}"
    )


def begin_lines(cells: Sequence[Planned]) -> list[str]:
    """What each variant takes over of another's trained weights, a line each."""
    lines = []
    for planned in cells:
        common = planned.common
        if common is None or planned.cell.for_tuning:
            continue
        share = f"{common.matched_parameters:,} of {common.parameters:,} parameters in {common.matched_tensors} tensors"
        drawn = f"; drawn: {_named(common.initialised)}" if common.initialised else ""
        left = f"; not taken: {_named(common.left)}" if common.left else ""
        lines.append(f"{planned.cell.variant} begins with the weights of {common.variant}: {share}{drawn}{left}")
    return list(dict.fromkeys(lines))


MOST_NAMED = 3
"""Paths that a line names."""


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return f"{', '.join(paths[:MOST_NAMED])}{more}"


def choices(cells: Sequence[Planned], results: Path) -> dict[str, Tuned]:
    """What the trials in ``results`` have chosen so far, by identity of the cell that is tuned."""
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.beginning import chosen_by_trials

    if not (results / "folder.json").exists():
        return {}
    folder = ResultsFolder(results)
    tuned = {
        planned.cell.identity: chosen_by_trials(planned.cell.inputs, folder) for planned in cells if planned.cell.inputs.tune
    }
    return {identity: choice for identity, choice in tuned.items() if choice is not None}


def choice_table(cells: Sequence[Planned], chosen: dict[str, Tuned], results: Path) -> Table:
    """One row for each variant and sweep point whose trials have ended."""
    first = next(iter(chosen.values()))
    table = simple_table(
        f"Chosen by trials in {results}: {first.field} by {first.by}", ["variant", "point", "chosen", "mean of its trials"]
    )
    for (variant, point), group in by_point(planned for planned in cells if planned.cell.identity in chosen).items():
        tuned = chosen[group[0].cell.identity]
        at_edge = f" ({tuned.edge} of the grid)" if tuned.edge else ""
        scores = ", ".join(f"{value}: {'–' if mean is None else f'{mean:.4g}'}" for value, mean in tuned.means().items())
        value = styled("none: every trial failed", "red") if tuned.chosen is None else f"{tuned.chosen}{at_edge}"
        table.add_row(variant, point, value, scores)
    return table
