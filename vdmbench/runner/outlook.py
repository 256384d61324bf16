"""What running a plan will take: FLOPs, seconds and GPU hours, from what was measured before, or from a card's own figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vdmbench.cards import PEAK_FLOPS
from vdmbench.records import Record
from vdmbench.runner.planning import Planned
from vdmbench.runner.schedule import Estimates, trains_as, work

EFFICIENCY = 0.3
"""Share of a card's peak that a run is taken to reach where none was measured. An assumption; small networks reach less."""
_UNMEASURED_CPU = "run.device is cpu, and no cell was measured on one; run a cell (--max-cells 1) and plan again"


@dataclass(frozen=True)
class Outlook:
    """Of all cells that can be run, one after another; what trains alike is trained once."""

    cells: int
    flops: int
    seconds: float | None
    """None where nothing is known of what cells run on."""
    gpu_hours: float | None
    """None on a CPU too."""
    basis: str
    """What the seconds follow from."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """For a reader."""
        if self.seconds is None:
            return f"{self.cells} cells take {self.flops:.3g} FLOPs; how long is not known: {self.basis}"
        hours = "" if self.gpu_hours is None else f" and {self.gpu_hours:.3g} GPU hours"
        taken = f"{_duration(self.seconds)} one after another{hours}"
        return f"{self.cells} cells take {self.flops:.3g} FLOPs, about {taken}: {self.basis}"


def outlook(
    cells: Sequence[Planned], records: Iterable[Record], *, card: str | None, records_in: str = "earlier records"
) -> Outlook:
    """Of every cell of the plan, those that were run already too.

    :param records: of earlier runs; those of cells of this plan are learnt from.
    :param card: what the others are taken to run on; None for a CPU, of which nothing is known before a cell was measured.
    """
    runnable = [planned for planned in cells if planned.solved is not None]
    by_identity = {planned.cell.identity: planned for planned in runnable}
    estimates = Estimates()
    learnt = [record for record in records if record.identity in by_identity and record.status == "ok"]
    for record in learnt:
        estimates.learn(by_identity[record.identity], record)
    trained, flops, by_precision, seconds, hours = set(), 0, dict[str, float](), 0.0, 0.0
    for planned in runnable:
        inputs = planned.cell.inputs
        first_step = inputs.train.steps if trains_as(planned.cell) in trained else 0
        trained.add(trains_as(planned.cell))
        own = work(planned, first_step)
        flops += own
        peak = PEAK_FLOPS.get(card or "", {}).get(inputs.train.precision)
        if estimates.known:
            own_seconds = estimates.seconds(planned, first_step) or 0.0
        elif peak is not None:
            own_seconds = own / (EFFICIENCY * peak * inputs.train.devices)
            by_precision[inputs.train.precision] = peak
        else:
            basis = f"there is no peak of '{card}' in {inputs.train.precision}" if card else _UNMEASURED_CPU
            return Outlook(len(runnable), sum(map(work, runnable)), None, None, basis)
        seconds += own_seconds
        hours += own_seconds * inputs.train.devices / 3600
    if estimates.known:
        basis = f"from the seconds of {len(learnt)} measured cells in {records_in}"
    else:
        peaks = " and ".join(f"{peak / 1e12:g} TFLOP/s in {precision}" for precision, peak in by_precision.items())
        basis = f"assumed, at {100 * EFFICIENCY:g} % of the {peaks} of run.plan_for {card}; measured cells would correct it"
    return Outlook(len(runnable), flops, seconds, hours if card else None, basis)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
