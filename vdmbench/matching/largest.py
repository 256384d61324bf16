"""What would have fitted: after a cell ran out of memory, the simulated need and the largest settings under the limit."""

from __future__ import annotations

from collections.abc import Mapping

from vdmbench.matching.memory import simulated
from vdmbench.matching.resolve import Resolved, resolve
from vdmbench.matching.solver import bracket, multiples
from vdmbench.records import OutOfMemory
from vdmbench.suite import CellInputs

_STEPS = {"frames": multiples(1, 1 << 16), "base_channels": multiples(8, 1 << 14)}


def largest_that_fits(inputs: CellInputs, knobs: Mapping[str, int | float], capacity: int | None) -> OutOfMemory:
    """For a cell at its solved ``knobs``: its simulated need by phase, and of frames and of width the most under ``capacity``
    bytes, the other as it was. Null where not even the smallest fits, or where the capacity is not known."""
    at = resolve(inputs, knobs)
    largest: dict[str, int | None] = {}
    if capacity is not None:
        for knob, start in (("frames", at.inputs.data.frames), ("base_channels", at.network.get("base_channels"))):
            if start is not None:
                found = bracket(
                    lambda setting, knob=knob: _need(resolve(inputs, {**knobs, knob: int(setting)})),  # type: ignore[misc]
                    capacity, _STEPS[knob], start)  # fmt: skip
                largest[knob] = None if found.below is None else int(found.below.setting)
    need = {phase: memory.least_capacity_bytes for phase, memory in simulated(at.workload).items()}
    return OutOfMemory(capacity_bytes=capacity, simulated_need_bytes=need, largest=largest)


def _need(resolved: Resolved) -> int:
    return max(memory.least_capacity_bytes for memory in simulated(resolved.workload).values())
