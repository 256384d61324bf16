"""From a cell's declared inputs to solved widths and their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vdmbench.matching.cost import Choice, cost, count
from vdmbench.matching.solver import Unreachable, check_within, closest_multiple, closest_width
from vdmbench.records import Solved
from vdmbench.suite import CellInputs
from vdmbench.suite.blocks import Match
from vdmbench.suite.pattern import mixers_of

BASE_CHANNELS_STEP = 8


@dataclass(frozen=True)
class Solution:
    """Network and mixer, or pattern of mixers, with the knob set, and what is recorded of it."""

    network: Mapping[str, Any]
    mixer: Mapping[str, Any]
    solved: Solved


def set_knobs(inputs: CellInputs, knobs: Mapping[str, int | float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The declared network and mixer, or pattern of mixers, with solved widths in place."""
    network, mixer = inputs.network.model_dump(), inputs.temporal
    if "base_channels" in knobs:
        network["base_channels"] = knobs["base_channels"]
    if "mixer_width" in knobs:
        mixer = _widened(mixer, knobs["mixer_width"])
    return network, mixer


def _widened(mixer: Choice, width: float) -> dict[str, Any]:
    """One mixer at that ``expand``; in a pattern each ``expand`` times it, so that the mixers keep their proportions."""
    if "name" in mixer:
        return {**mixer, "expand": width}

    def scaled(choice: Choice) -> Choice:
        return {**choice, "expand": choice["expand"] * width} if "expand" in choice else choice

    return {"stem": scaled(mixer["stem"]), "levels": [scaled(level) for level in mixer["levels"]],
            "middle": scaled(mixer["middle"])}


def _described(mixer: Mapping[str, Any]) -> str:
    return " + ".join(dict.fromkeys(each["name"] for each in mixers_of(dict(mixer))))


def _search(match: Match, target: int, network: Choice, mixer: Choice) -> tuple[dict[str, int | float], int]:
    if match.knob == "base_channels":
        step = BASE_CHANNELS_STEP
        found = closest_multiple(lambda base: count({**network, "base_channels": base}, mixer, match.of), target, step=step)
        return {"base_channels": found.setting}, found.value
    if not any("expand" in each for each in mixers_of(dict(mixer))):
        raise Unreachable(f"mixer '{_described(mixer)}' has no width to move; match by base_channels, or exempt the variant")
    reached = closest_width(lambda width: count(network, _widened(mixer, width), match.of), target)
    return {"mixer_width": reached.setting}, reached.value


def solve(inputs: CellInputs) -> Solution:
    """Move the declared knob until the declared quantity meets its goal.

    :raises Unreachable: it cannot, within the tolerance; the message names the closest.
    :raises ValueError: the declared sizes do not fit together.
    """
    network, mixer = set_knobs(inputs, {})
    knobs: dict[str, int | float] = {}
    goal: dict[str, Any] = {}
    match = inputs.match
    if match is not None:
        target = match.target
        if inputs.reference is not None:
            target = count(inputs.reference.network.model_dump(), inputs.reference.temporal, match.of)
        assert target is not None, "the suite's validator asks for one goal"
        if target == 0:
            raise Unreachable(f"the reference '{match.reference}' has no {match.of} parameters to match")
        knobs, achieved = _search(match, target, network, mixer)
        what = f"{match.of} parameters of {_described(mixer)}"
        how = ", ".join(f"{knob} {value:g}" for knob, value in knobs.items())
        mismatch = check_within(achieved, target, match.tolerance, what, how)
        goal = {"quantity": f"{match.quantity}.{match.of}", "target": target, "achieved": achieved, "mismatch": mismatch}
        network, mixer = set_knobs(inputs, knobs)
    priced = cost(network, mixer, frames=inputs.data.frames, size=inputs.data.size)
    return Solution(network, mixer, Solved(
        knobs=knobs, **goal, parameters=priced.parameters, state_elements=priced.state_elements,
        flops_forward=priced.flops_forward, flops_temporal=priced.flops_temporal, layers=priced.layers))
