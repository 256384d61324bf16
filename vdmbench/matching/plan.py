"""From a cell's declared inputs to its solved knobs and their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vdmbench.matching.cost import cost, count, structure
from vdmbench.matching.lengths import refuse_untrained_length
from vdmbench.matching.memory import Source, measured, require_device, simulated
from vdmbench.matching.planned_peaks import plan_peaks
from vdmbench.matching.resolve import Resolved, declared_setting, has_width, network_of, resolve
from vdmbench.matching.solver import (
    WIDTHS,
    Bracket,
    Ladder,
    Quantity,
    Unreachable,
    bracket,
    check_within,
    multiples,
    shortest_decimal,
)
from vdmbench.matching.target import Target
from vdmbench.matching.workload import Workload
from vdmbench.records import Matched, Probe, Solved
from vdmbench.suite import CellInputs
from vdmbench.suite.blocks import Match
from vdmbench.suite.cells import Reference
from vdmbench.suite.diffusion import Diffusion
from vdmbench.suite.pattern import described

_LADDERS = {
    "base_channels": multiples(8, 1 << 14),  # group norms have 8 groups
    "mixer_width": WIDTHS,
    "batch_size": multiples(1, 1 << 16),
    "frames": multiples(1, 1 << 16),
}
_ROUNDS = 8
"""Times that two knobs take turns before they must have settled."""


@dataclass(frozen=True)
class Solution:
    """A cell with its knobs set, and what is recorded of it."""

    resolved: Resolved
    solved: Solved


def solve(inputs: CellInputs, *, memory: bool = False, target: Target | None = None) -> Solution:
    """Move the declared knobs until the declared quantities meet their goals.

    :param memory: simulate the peaks of the answer also where no match asks for them; what cannot be is said.
    :param target: the machine that these peaks are simulated for; None for the usual card, with the packages installed here.
        Its card moves no knob: whatever it is, the same declaration is the same network.
    :raises Unreachable: a goal cannot be met within the tolerance; the message names the closest.
    :raises CannotMeasure: a measured match without a CUDA device.
    :raises CannotSimulate: a match of memory whose memory cannot be simulated; without one, the answer says why not.
    :raises ValueError: the declared sizes do not fit together, or clips are to be sampled at a length that the network cannot
        have learned.
    """
    target = target or Target()
    search = _Search(inputs, Target(packages=target.packages))
    matched = search.run()
    resolved = resolve(inputs, search.knobs, target)
    refuse_untrained_length(resolved)
    data = resolved.inputs.data
    priced = cost(resolved.network, resolved.mixer, frames=data.frames, size=resolved.inputs.denoised_size)
    planned = plan_peaks(resolved.workload) if memory or search.probes else None
    first: Mapping[str, Any] = matched[0].model_dump() if matched else {}
    return Solution(
        resolved,
        Solved(
            **first,
            also=matched[1] if len(matched) > 1 else None,
            knobs=search.knobs,
            probes=search.probes,
            memory=planned.peaks if planned else {},
            planned_for=planned.planned_for if planned else None,
            not_simulated=planned.not_simulated if planned else None,
            parameters=priced.parameters,
            state_elements=priced.state_elements,
            flops_forward=priced.flops_forward,
            flops_temporal=priced.flops_temporal,
            layers=priced.layers,
        ),
    )


class _Search:
    """The knobs of one cell, moved until its matches are met."""

    def __init__(self, inputs: CellInputs, target: Target) -> None:
        self.inputs, self.target = inputs, target
        self.knobs: dict[str, int | float] = {}
        self.probes: list[Probe] = []
        self._matches = [match for match in (inputs.match, inputs.match and inputs.match.also) if match]

    def run(self) -> list[Matched]:
        """Set :attr:`knobs`; what became of each match."""
        goals = [self._goal(match) for match in self._matches]
        for _ in range(_ROUNDS):
            before = dict(self.knobs)
            for match, goal in zip(self._matches, goals, strict=True):
                self.knobs[match.knob] = self._setting(match, goal)
            if self.knobs == before or len(self._matches) < 2:
                break
        return [self._matched(match, goal) for match, goal in zip(self._matches, goals, strict=True)]

    def _goal(self, match: Match) -> int:
        if match.reference is None:
            goal = match.target if match.target is not None else match.budget
        else:
            assert self.inputs.reference is not None, "a match by reference comes with it"
            goal = _value(
                match,
                _of_reference(self.inputs.reference, self.inputs.diffusion, self.target),
                match.source or "simulated",
            )
            if goal is None:
                raise Unreachable(f"the reference '{match.reference}' runs out of memory itself")
        assert goal is not None, "the suite's validator asks for one goal"
        if goal == 0:
            raise Unreachable(f"the reference '{match.reference}' has no {_named(match)} to match")
        return goal

    def _setting(self, match: Match, goal: int) -> int | float:
        mixer = self.inputs.temporal
        if match.knob == "mixer_width" and not has_width(mixer, self.inputs.network.model_dump()):
            raise Unreachable(f"mixer '{described(mixer)}' has no width to move; match by base_channels, or exempt the variant")
        start = declared_setting(self.inputs, match.knob)
        if match.source == "measured":  # a probe of the device is dear: begin where the simulation says
            require_device()
            by_simulation = bracket(self._values(match, "simulated"), goal, self._ladder(match), start)
            start = by_simulation.closest(goal).setting
        found = bracket(self._values(match, match.source or "simulated"), goal, self._ladder(match), start)
        setting = self._chosen(match, goal, found)
        if match.knob != "mixer_width":
            return setting
        chosen = _structure(self._at(match.knob, setting), None)
        return shortest_decimal(setting, lambda near: _structure(self._at(match.knob, near), None) == chosen)

    def _ladder(self, match: Match) -> Ladder:
        if match.knob == "batch_size" and match.phase == "sample":
            return multiples(1, self.inputs.sample.clips)  # no batch is larger than all clips
        if match.knob == "batch_size":
            return multiples(self.inputs.train.devices, 1 << 16)  # each device has an equal part
        return _LADDERS[match.knob]

    def _values(self, match: Match, source: Source) -> Quantity:
        """The matched quantity by setting, each structure once; memory from ``source``, every probe recorded."""
        known: dict[str, int | None] = {}

        def value(setting: float) -> int | None:
            resolved = self._at(match.knob, setting)
            built = _structure(resolved, setting if match.knob in ("batch_size", "frames") else None)
            if built not in known:
                known[built] = _value(match, resolved.workload, source)
                if match.quantity == "memory":
                    self.probes.append(Probe(knob=match.knob, setting=setting, source=source, peak_bytes=known[built]))
            return known[built]

        return value

    def _chosen(self, match: Match, goal: int, found: Bracket) -> int | float:
        if found.flat:
            raise Unreachable(
                f"{match.knob} does not move {_named(match)} of {described(self.inputs.temporal)}; match by another knob"
            )
        if match.budget is None:
            return found.closest(goal).setting
        if found.below is None:
            assert found.above is not None, "a search ends between two settings"
            least = "more than there is" if found.above.value is None else _shown(match, found.above.value)
            raise Unreachable(
                f"{_named(match)} of {described(self.inputs.temporal)} does not fit in {_shown(match, goal)}: at the smallest "
                f"setting, {match.knob} {found.above.setting:g}, it takes {least}; raise match.budget or move another knob"
            )
        return found.below.setting

    def _at(self, knob: str, setting: float) -> Resolved:
        return resolve(self.inputs, {**self.knobs, knob: setting}, self.target)

    def _matched(self, match: Match, goal: int) -> Matched:
        resolved = resolve(self.inputs, self.knobs, self.target)
        achieved = _value(match, resolved.workload, match.source or "simulated")
        assert achieved is not None, "the chosen setting has a value"
        what = f"{_named(match)} of {described(self.inputs.temporal)}"
        how = ", ".join(f"{knob} {value:g}" for knob, value in self.knobs.items())
        if match.budget is not None and achieved > goal:
            raise Unreachable(
                f"{what} is {_shown(match, achieved)} at {how}, over the {_shown(match, goal)} of match.budget: the two knobs "
                "do not settle; leave out match.also, or give it another knob"
            )
        mismatch = check_within(achieved, goal, match.tolerance, what, how, lambda value: _shown(match, value))
        return Matched(quantity=_quantity(match), target=goal, achieved=achieved, mismatch=mismatch, tolerance=match.tolerance)


def _value(match: Match, workload: Workload, source: Source) -> int | None:
    """What is matched, at that workload; None for memory that ran out."""
    if match.quantity == "parameters":
        return count(workload.network, workload.mixer, match.of)
    if match.quantity == "memory":
        phase = match.phase or "train"
        if source == "measured":
            return measured(workload, phase)
        return simulated(workload, (phase,))[phase].allocated_peak_bytes
    priced = cost(workload.network, workload.mixer, frames=workload.frames, size=workload.size)
    if match.quantity == "state":
        return priced.state_elements
    return priced.flops_temporal if match.of == "temporal" else priced.flops_forward


def _of_reference(reference: Reference, diffusion: Diffusion, target: Target) -> Workload:
    data, autoencoder = reference.data, reference.autoencoder
    size = data.size // (autoencoder.factor if autoencoder else 1)
    return Workload(
        network_of(reference, reference.network),
        reference.temporal,
        data.frames,
        size,
        reference.train,
        reference.sample,
        diffusion,
        autoencoder is not None,
        target,
    )


def _structure(resolved: Resolved, setting: float | None) -> str:
    shapes = structure(resolved.network, resolved.mixer).digest
    return shapes if setting is None else f"{shapes} {setting}"


def _quantity(match: Match) -> str:
    if match.quantity == "memory":
        return f"memory.{match.phase or 'train'}"
    return match.quantity if match.quantity == "state" else f"{match.quantity}.{match.of}"


def _named(match: Match) -> str:
    """For a sentence."""
    if match.quantity == "memory":
        return f"peak memory in {'sampling' if match.phase == 'sample' else 'training'}"
    return {"parameters": f"{match.of} parameters", "flops": f"{match.of} FLOPs", "state": "state"}[match.quantity]


def _shown(match: Match, value: int) -> str:
    if match.quantity != "memory":
        return f"{value:,}"
    return f"{value / 2**30:.3f} GiB" if value >= 2**30 else f"{value / 2**20:.3f} MiB"
