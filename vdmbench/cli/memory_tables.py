"""Simulated memory in a terminal: peaks, who holds them, and what fits on which card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from vdmbench.byte_sizes import parse_bytes
from vdmbench.cards import Device, device
from vdmbench.cli.tables import by_point
from vdmbench.cli.terminal import simple_table, styled

if TYPE_CHECKING:
    from vdmbench.records import PlannedMemory
    from vdmbench.runner.planning import Planned

_HOLDERS = {
    "parameters": "weights", "gradients": "gradients", "optimiser": "optimiser", "EMA": "EMA",
    "temporal activations": "temporal", "other activations": "other act.", "temporaries": "temporary",
    "workspaces": "workspaces",
}  # fmt: skip


def devices_named(text: str | None) -> list[Device]:
    """``h200,16GiB`` as cards; an amount is a card whose driver reports it. Raises ValueError for what is neither."""
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(f"--devices '{text}' names nothing in one place: write for example h200,16GiB")
    return [Device(name, int(parse_bytes(name))) if name[0].isdigit() else _card(name.lower()) for name in names]


def _card(name: str) -> Device:
    try:
        return device(name)
    except ValueError as error:
        raise ValueError(f"{error}, or give an amount, such as 16GiB") from None


def gib(nbytes: int) -> str:
    """Three significant digits."""
    return f"{nbytes / 2**30:.3g}"


def memory_table(cells: Sequence[Planned]) -> Table:
    """Peaks of both phases, and the shares of the training peak."""
    table = simple_table(
        "Simulated CUDA memory: peak allocated (reserved) in GiB; of the training peak, who holds how many %",
        ["variant", "point", " train GiB", " sample GiB", *(f" {short}" for short in _HOLDERS.values())],
    )
    for (variant, point), group in by_point(cells).items():
        solved = group[0].solved
        if solved is None:
            continue
        if not solved.memory:
            if solved.not_simulated:
                table.add_row(variant, point, styled("not simulated", "yellow"))
            continue
        train = solved.memory["train"]
        shares = [f"{100 * train.holders.get(holder, 0) / train.allocated_peak_bytes:.0f}" for holder in _HOLDERS]
        table.add_row(variant, point, *(_peak(solved.memory[phase]) for phase in ("train", "sample")), *shares)
    return table


def not_simulated(cells: Sequence[Planned]) -> list[str]:
    """A line for each variant whose memory could not be simulated, with the reason."""
    whys = {(each.cell.variant, each.solved.not_simulated): None for each in cells if each.solved and each.solved.not_simulated}
    return [f"{variant}: not simulated: {why}" for variant, why in whys]


def _peak(memory: PlannedMemory) -> str:
    return f"{gib(memory.allocated_peak_bytes)} ({gib(memory.reserved_peak_bytes)})"


def fits_table(cells: Sequence[Planned], devices: Sequence[Device]) -> Table:
    """What trains and samples on which card."""
    table = simple_table(
        "Fits (simulated, 600 MiB of each card set aside for CUDA itself)",
        ["variant", "point", " needs GiB", *(f"{each.name} ({gib(each.total_bytes)} GiB)" for each in devices)],
    )
    for (variant, point), group in by_point(cells).items():
        solved = group[0].solved
        if solved is None:
            continue
        if not solved.memory:
            if solved.not_simulated:
                table.add_row(variant, point, styled("not simulated", "yellow"), *("–" for _ in devices))
            continue
        needs = max(phase.least_capacity_bytes for phase in solved.memory.values())
        marks = [styled("fits", style="green") if group[0].fits(each) else styled("no", style="red") for each in devices]
        table.add_row(variant, point, gib(needs), *marks)
    return table


def packages_table(unlike: Sequence[tuple[Planned, Planned]]) -> Table:
    """The peaks of cells that optional packages change: with those that are installed here, and with all."""
    table = simple_table(
        "Where optional packages change the plan: peak allocated (reserved) in GiB",
        ["variant", "point", "packages", " train GiB", " sample GiB"],
    )
    here, every = (by_point(planned) for planned in zip(*unlike, strict=True))
    for place, group in here.items():
        for packages, planned in (("installed", group[0]), ("all", every[place][0])):
            phases = planned.solved.memory if planned.solved else {}
            peaks = (_peak(phases[phase]) if phase in phases else "not planned" for phase in ("train", "sample"))
            table.add_row(*place, packages, *peaks)
    return table
