"""From a cell's declared inputs to its solved knobs and their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vdmbench.matching.cost import cost, count, structure
from vdmbench.matching.lengths import refuse_untrained_length
from vdmbench.matching.memory import Source, measured, require_device, simulated_peaks
from vdmbench.matching.planned_peaks import plan_peaks
from vdmbench.matching.resolve import Resolved, declared_setting, has_width, network_of, resolve
from vdmbench.matching.simulation import PHASES
from vdmbench.matching.solver import (
    WIDTHS,
    Bracket,
    Ladder,
    Quantity,
    Reached,
    Unreachable,
    bracket,
    check_within,
    closest,
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
    "base_channels": multiples(8, 1 << 14),  # widths that kernels are made for
    "mixer_width": WIDTHS,
    "batch_size": multiples(1, 1 << 16),
    "frames": multiples(1, 1 << 16),
}
_NARROW = 64
"""Base channels under which the widths between multiples of 8 are tried too: there a step of 8 is a large one."""
_FILLED = 4
"""Settings below the widest from which another knob is tried too, to come within tolerance."""
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


_tried: dict[str, dict[float, int | None]] = {}
"""Simulated memory by setting, of searches that differ in nothing but their goal, as those of a sweep of budgets."""


class _Search:
    """The knobs of one cell, moved until its matches are met."""

    def __init__(self, inputs: CellInputs, target: Target) -> None:
        self.inputs, self.target = inputs, target
        self.knobs: dict[str, int | float] = {}
        self._measured: list[Probe] = []
        self._proofs: dict[str, list[Probe]] = {}
        first = inputs.match
        also = first and first.also
        self._fills = also is not None and not also.goals
        if also is not None and self._fills and also.knob == "mixer_width" and not self._has_width:
            also = None  # nothing is left to fill with
        self._matches = [match for match in (first, also) if match]

    @property
    def _has_width(self) -> bool:
        return has_width(self.inputs.temporal, self.inputs.network.model_dump())

    @property
    def probes(self) -> list[Probe]:
        """All that was measured, and of simulated memory the settings that prove each answer.

        What else was tried follows from what other searches had found before, and is no part of the answer.
        """
        return [*(each for proof in self._proofs.values() for each in proof), *self._measured]

    def run(self) -> list[Matched]:
        """Set :attr:`knobs`; what became of each match."""
        goals = [self._goal(match) for match in self._matches]
        if self._fills and len(goals) == 2:
            self._fill(self._matches[0], self._matches[1], goals[0])
        else:
            self._take_turns(goals)
        return [self._matched(match, goal) for match, goal in zip(self._matches, goals, strict=True)]

    def _take_turns(self, goals: list[int]) -> None:
        for _ in range(_ROUNDS):
            before = dict(self.knobs)
            for match, goal in zip(self._matches, goals, strict=True):
                self.knobs[match.knob] = self._setting(match, goal)
            if self.knobs == before or len(self._matches) < 2:
                return

    def _fill(self, first: Match, also: Match, goal: int) -> None:
        """The first knob alone, and then the second; where its steps are too large as well, from the next settings below."""
        setting = self._setting(first, goal)
        reached: list[tuple[float, dict[str, int | float]]] = []
        for narrower in [setting, *self._narrower(first, setting)]:
            self.knobs = {first.knob: narrower}
            try:
                self.knobs[also.knob] = self._setting(also, goal)
            except Unreachable:
                if not reached:
                    raise
                continue
            value = _value(first, self._at(first.knob, narrower).workload, first.source or "simulated") or 0
            reached.append((abs(value - goal) / goal, dict(self.knobs)))
            if reached[-1][0] <= first.tolerance:
                return
        self.knobs = min(reached, key=lambda each: each[0])[1]

    def _narrower(self, match: Match, setting: int | float) -> list[int]:
        unit = self._width_step if setting < _NARROW else 8
        return [] if match.knob != "base_channels" else [width for width in range(int(setting) - unit, 7, -unit)][:_FILLED]

    @property
    def _width_step(self) -> int:
        return getattr(self.inputs.network, "width_step", 8)

    def _goal(self, match: Match) -> int:
        if not match.goals:  # it fills what the first one leaves
            assert self.inputs.match is not None
            return self._goal(self.inputs.match)
        if match.reference is None:
            goal = match.target or match.budget
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
        if match.knob == "mixer_width" and not self._has_width:
            raise Unreachable(f"mixer '{described(mixer)}' has no width to move; match by base_channels, or exempt the variant")
        start = declared_setting(self.inputs, match.knob)
        if match.source == "measured":  # a probe of the device is dear: begin where the simulation says
            require_device()
            start = self._bracket(match, goal, "simulated", start).closest(goal).setting
        source = match.source or "simulated"
        found = self._bracket(match, goal, source, start)
        self._refuse_out_of_reach(match, goal, found)
        tried = [*found.ends, *self._between(match, goal, source, found)]
        if not self._is_bound(match):
            setting = closest(tried, goal).setting
        else:
            fitting = [each.setting for each in tried if each.value is not None and each.value <= goal]
            setting = max(fitting, default=tried[0].setting)
        if match.quantity == "memory" and source == "simulated":
            self._proofs[match.knob] = [
                Probe(knob=match.knob, setting=each.setting, source=source, peak_bytes=each.value) for each in tried
            ]
        if match.knob != "mixer_width":
            return setting
        chosen = _structure(self._at(match.knob, setting), None)
        return shortest_decimal(setting, lambda near: _structure(self._at(match.knob, near), None) == chosen)

    def _bracket(self, match: Match, goal: int, source: Source, start: float) -> Bracket:
        """Where the goal lies, found from what earlier searches of the same quantity tried; measured memory always anew."""
        value = self._values(match, source)
        known: dict[float, int | None] = {}
        if match.quantity == "memory" and source == "simulated":
            ladder = self._ladder(match)
            at = ladder.setting(ladder.step(start))
            of = f"{match.knob} {match.phase} {at} {self._at(match.knob, at).workload.key()}"
            known = _tried.setdefault(of, {})

        def tried(setting: float) -> int | None:
            known[setting] = found = value(setting)
            return found

        return bracket(tried, goal, self._ladder(match), start, known)

    def _is_bound(self, match: Match) -> bool:
        """Whether its goal must not be passed."""
        first = self.inputs.match
        return match.budget is not None or (not match.goals and first is not None and first.budget is not None)

    def _ladder(self, match: Match) -> Ladder:
        if match.knob == "batch_size" and match.phase == "sample":
            return multiples(1, self.inputs.sample.clips)  # no batch is larger than all clips
        if match.knob == "batch_size":
            return multiples(self.inputs.train.devices, 1 << 16)  # each device has an equal part
        return _LADDERS[match.knob]

    def _values(self, match: Match, source: Source) -> Quantity:
        """The matched quantity by setting, each structure once; memory from ``source``, every measured probe recorded."""
        known: dict[str, int | None] = {}

        def value(setting: float) -> int | None:
            resolved = self._at(match.knob, setting)
            built = _structure(resolved, setting if match.knob in ("batch_size", "frames") else None)
            if built not in known:
                known[built] = _value(match, resolved.workload, source)
                if source == "measured":
                    self._measured.append(Probe(knob=match.knob, setting=setting, source=source, peak_bytes=known[built]))
            return known[built]

        return value

    def _refuse_out_of_reach(self, match: Match, goal: int, found: Bracket) -> None:
        if found.flat:
            raise Unreachable(
                f"{match.knob} does not move {_named(match)} of {described(self.inputs.temporal)}; match by another knob"
            )
        if self._is_bound(match) and found.below is None:
            if self._fills and match is self._matches[0]:
                return  # a narrower mixer may fit
            assert found.above is not None, "a search ends between two settings"
            least = "more than there is" if found.above.value is None else _shown(match, found.above.value)
            raise Unreachable(
                f"{_named(match)} of {described(self.inputs.temporal)} does not fit in {_shown(match, goal)}: at the smallest "
                f"setting, {match.knob} {found.above.setting:g}, it takes {least}; raise match.budget or move another knob"
            )

    def _between(self, match: Match, goal: int, source: Source, found: Bracket) -> list[Reached]:
        """Of few base channels, the widths between the multiples of 8 that the goal lies between.

        Under a budget these are tried from the widest to the first that fits.
        Heads and groups are of another shape at each of them, so that the quantity need not grow from one to the next; but none
        takes less than the multiple of 8 under it.
        """
        unit = self._width_step
        if match.knob != "base_channels" or found.below is None or found.below.setting >= _NARROW:
            return []
        first, value, tried = int(found.below.setting), self._values(match, source), list[Reached]()
        for width in range(first + 8 - unit, first, -unit):
            tried.append(Reached(width, value(width)))
            if self._is_bound(match) and (tried[-1].value or goal + 1) <= goal:
                break
        return tried

    def _at(self, knob: str, setting: float) -> Resolved:
        return resolve(self.inputs, {**self.knobs, knob: setting}, self.target)

    def _matched(self, match: Match, goal: int) -> Matched:
        resolved = resolve(self.inputs, self.knobs, self.target)
        achieved = _value(match, resolved.workload, match.source or "simulated")
        assert achieved is not None, "the chosen setting has a value"
        what = f"{_named(match)} of {described(self.inputs.temporal)}"
        how = ", ".join(f"{knob} {value:g}" for knob, value in self.knobs.items())
        if self._is_bound(match) and achieved > goal:
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
        both = phase == "train" and not workload.sample.compile  # sampling is cheap, and of the answer it is asked too
        return simulated_peaks(workload, PHASES if both else (phase,))[phase]
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
