"""The planned peaks of a cell: simulated for a declared card, with what they were simulated for kept beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vdmbench.matching.memory import Peaks, simulated
from vdmbench.matching.simulation import PHASES, CannotSimulate
from vdmbench.matching.workload import Workload
from vdmbench.records import PlannedFor


@dataclass(frozen=True)
class PlannedPeaks:
    """Peaks by phase, without those that could not be simulated."""

    peaks: Peaks
    planned_for: PlannedFor
    not_simulated: str | None
    """Why a phase is missing; None where both are there."""


def plan_peaks(workload: Workload) -> PlannedPeaks:
    """Both phases on the workload's target. What cannot be simulated can be trained all the same, so that it is no error."""
    peaks: Peaks = {}
    why: dict[str, None] = {}
    compiled = {"train": workload.train.compile, "sample": workload.sample.compile}
    together = [PHASES] if not any(compiled.values()) else [(phase,) for phase in PHASES]
    for phases in together:
        try:
            peaks |= simulated(workload, phases)
        except CannotSimulate as error:
            why[str(error)] = None
    target = workload.target
    torch_version = torch.__version__.partition("+")[0]
    planned_for = PlannedFor(device=target.card, torch=torch_version, packages=sorted(target.packages))
    return PlannedPeaks(peaks, planned_for, "; ".join(why) or None)
