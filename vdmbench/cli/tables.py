"""Tables for a terminal: data on standard output, with units in the headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from vdmbench.cell_label import coordinate_text
from vdmbench.cli.terminal import simple_table, styled

if TYPE_CHECKING:
    from vdmbench.records import Record
    from vdmbench.runner.planning import Planned
    from vdmbench.suite import Cell


def count(number: int | None) -> str:
    """4 significant digits with k, M, G; a dash where unknown."""
    if number is None:
        return "–"
    for scale, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= scale:
            return f"{number / scale:.4g} {unit}"
    return str(number)


def plan_table(cells: list[Planned], name: str) -> Table:
    """One row for each variant and sweep point; seeds are counted."""
    table = simple_table(
        f"Plan of {name}: {len(cells)} cells",
        ["variant", "point", " seeds", "knob", " parameters", " temporal", " mismatch %", " state / clip", " FLOPs / forward"],
    )
    for (variant, point), group in by_point(cells).items():
        solved = group[0].solved
        if solved is None:
            table.add_row(variant, point, str(len(group)), styled(f"infeasible: {group[0].infeasible}", style="red"))
            continue
        knobs = " ".join(f"{knob}={value:g}" for knob, value in solved.knobs.items()) or "as declared"
        misses = [each.mismatch for each in (solved, solved.also) if each is not None and each.mismatch is not None]
        mismatch = " ".join(f"{100 * miss:+.2f}" for miss in misses) or "–"
        table.add_row(
            variant,
            point,
            str(len(group)),
            knobs,
            f"{solved.parameters.network:,}",
            f"{solved.parameters.temporal:,}",
            mismatch,
            count(solved.state_elements),
            count(solved.flops_forward),
        )
    return table


def by_point(cells: Iterable[Planned]) -> dict[tuple[str, str], list[Planned]]:
    """Cells by variant and sweep point, the seeds of one together."""
    rows: dict[tuple[str, str], list[Planned]] = {}
    for planned in cells:
        coordinates = planned.cell.point.items()
        point = " ".join(f"{path.removeprefix('data.')}={coordinate_text(path, value)}" for path, value in coordinates)
        rows.setdefault((planned.cell.variant, point), []).append(planned)
    return rows


def outcome_table(records: Iterable[tuple[Cell, Record]], title: str) -> Table:
    """What did not go well, a row a cell: status, phase and cause."""
    table = simple_table(title, ["cell", "status", "phase", "cause"])
    for cell, record in records:
        table.add_row(cell.label, record.status, record.phase or "–", styled(record.message or "–"))
    return table
