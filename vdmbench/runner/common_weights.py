"""What cells have in common with those whose weights they begin with, found on the structure of both before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdmbench.runner.planning import Planned


@dataclass(frozen=True)
class CommonWeights:
    """The tensors that a cell takes over."""

    cell: str
    """Identity of the cell that trains them."""
    variant: str
    matched_tensors: int
    matched_parameters: int
    parameters: int
    initialised: list[str]
    """Paths that have no match, and are drawn."""
    left: list[str]
    """Paths of the other cell that have no place."""


def with_common_weights(
    cells: Sequence[Planned], ask: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[list[Planned], list[tuple[Planned, str]]]:
    """``cells``, each with what it takes over from the one that it begins with; and those that would take nothing over, with
    the reason. A cell whose other one is not among ``cells``, or has no network, stays as it is.

    :param ask: the planner.
    """
    known = {planned.cell.identity: planned for planned in cells}
    pairs: dict[str, tuple[Planned, Planned]] = {}
    for planned in cells:
        begins = planned.cell.inputs.init_from
        other = None if begins is None else known.get(begins.identity())
        if other is not None and other.solved is not None and planned.solved is not None:
            pairs[planned.cell.identity] = planned, other
    if not pairs:
        return list(cells), []
    questions = {identity: [_structure(heir), _structure(other)] for identity, (heir, other) in pairs.items()}
    distinct = list({json.dumps(question): question for question in questions.values()}.values())
    answers = dict(zip(map(json.dumps, distinct), ask({"in_common": distinct})["in_common"], strict=True))
    found, refused = {}, []
    for identity, (heir, other) in pairs.items():
        told = answers[json.dumps(questions[identity])]
        common = CommonWeights(other.cell.identity, other.cell.variant, **told)
        found[identity] = replace(heir, common=common)
        if not common.matched_parameters:
            message = (
                f"no parameter of this variant has the path and shape of one of '{common.variant}': give both one network and "
                "the same widths (a 'match' moves them apart: exempt both, or neither), or leave 'init_from' out"
            )
            refused.append((heir, message))
    return [found.get(planned.cell.identity, planned) for planned in cells], refused


def little_in_common(cells: Sequence[Planned]) -> list[str]:
    """A line for each variant that takes over less than half of its parameters from the one that it begins with."""
    poor = [
        (planned.cell.variant, planned.common)
        for planned in cells
        if planned.common is not None and 2 * planned.common.matched_parameters < planned.common.parameters
    ]
    lines = [
        f"{variant} begins with {common.matched_parameters:,} of its {common.parameters:,} parameters from '{common.variant}', "
        "and the rest is drawn: give both the same widths, if more is meant"
        for variant, common in poor
    ]
    return list(dict.fromkeys(lines))


def _structure(planned: Planned) -> dict[str, Any]:
    """What decides the paths and shapes of a cell's tensors."""
    assert planned.solved is not None, "its knobs are known"
    inputs = planned.cell.inputs.model_copy(update={"seed": 0, "init_from": None, "tune": None})
    return {"inputs": inputs.model_dump(mode="json"), "knobs": planned.solved.knobs}
