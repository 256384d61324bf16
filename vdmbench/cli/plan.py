"""``vdmbench plan``: cells with solved widths and their cost, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdmbench.cli.options import AllowCode, AsJson, Overrides, SuiteFile, Tiny, load_cells
from vdmbench.cli.terminal import print_table, say, say_json

if TYPE_CHECKING:
    from vdmbench.memory.devices import Device
    from vdmbench.runner.planning import Plan, Planned
    from vdmbench.suite import SourceLines, Suite


def plan(
    suite: SuiteFile,
    overrides: Overrides = None,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Simulate the peaks of GPU memory: seconds a cell the first time.")
    ] = True,
    devices: Annotated[
        str | None, typer.Option(help="Also say what fits where: names (h200, rtx4090, ...) or amounts (16GiB), with commas.")
    ] = None,
    with_packages: Annotated[
        bool, typer.Option("--with-packages", help="Plan as if every optional package were installed, not those that are.")
    ] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures of the simulated memory.", file_okay=False)] = None,
    tiny: Tiny = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Show every cell with its solved knobs, parameters, cost and simulated GPU memory. Needs no GPU and no data.

    Examples: vdmbench plan suites/tiny.yaml | vdmbench plan hth_5b --with-packages |
    vdmbench plan memory_scaling --devices rtx4090,a100-80gb,h200 --figures plan
    """
    from vdmbench.cli import memory_tables as tables
    from vdmbench.cli.tables import plan_table
    from vdmbench.runner.planning import plan as solve
    from vdmbench.suite.warnings import suite_warnings

    if not memory and (devices or figures or with_packages):
        raise ValueError("--devices, --figures and --with-packages speak of simulated memory: leave out --no-memory")
    cards = tables.devices_named(devices)
    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code, tiny=tiny)
    solved = solve(cells, memory=memory, lines=lines, with_packages=with_packages)
    here = solve(cells, memory=memory, lines=lines) if with_packages else None
    refuse_unreachable(solved, declared, lines)
    warnings = suite_warnings(cells, declared.run)
    few = said_beforehand(declared, warnings)
    if as_json:
        say_json(plan_as_json(solved, declared, warnings, few, cards, here))
    else:
        print_table(plan_table(solved.cells, declared.name))
        if memory:
            print_table(tables.memory_table(solved.cells))
            for line in tables.not_simulated(solved.cells):
                say(line)
            if here is not None and (unlike := unlike_without_packages(solved, here)):
                print_table(tables.packages_table(unlike))
        if cards:
            print_table(tables.fits_table(solved.cells, cards))
    if figures is not None:
        from vdmbench.report.planned_memory import write_figures

        for path in write_figures([(planned.cell, planned.solved) for planned in solved.cells], figures):
            say(f"figure: {path}", err=True)


def said_beforehand(declared: Suite, warnings: Sequence[str]) -> str | None:
    """Say on standard error what the suite's reader should know before it runs; returns what its seeds cannot decide."""
    few = None
    if declared.claims:
        from vdmbench.report.claims import too_few_seeds

        few = too_few_seeds(declared.claims, len(declared.seeds))
    for line in (*(f"warning: {warning}" for warning in warnings), *([few] if few else [])):
        say(line, err=True)
    return few


def unlike_without_packages(solved: Plan, here: Plan) -> list[tuple[Planned, Planned]]:
    """Each cell whose plan with every package differs from the one with what is installed, after that one."""
    return [
        (installed, every)
        for every, installed in zip(solved.cells, here.cells, strict=True)
        if (every.solved, every.infeasible) != (installed.solved, installed.infeasible)
    ]


def plan_as_json(
    solved: Plan,
    declared: Suite,
    warnings: Sequence[str],
    few: str | None,
    cards: Sequence[Device] = (),
    here: Plan | None = None,
) -> dict[str, Any]:
    """What `vdmbench plan --json` and a dry run print; ``here`` is the plan with the packages that are installed."""
    return {
        "suite": declared.name,
        "cells": [planned.as_json(cards) for planned in solved.cells],
        "warnings": list(warnings),
        "notes": [few] if few else [],
        **({"without_packages": [each.as_json(cards) for each, _ in unlike_without_packages(solved, here)]} if here else {}),
    }


def refuse_unreachable(solved: Plan, declared: Suite, lines: SourceLines) -> None:
    """A target that a variant cannot reach is an error, unless the suite says that it is to be recorded."""
    from vdmbench.suite import SuiteError

    if declared.match is not None and declared.match.unreachable == "error" and solved.infeasible:
        raise SuiteError(
            list(
                dict.fromkeys(
                    lines.problem(("match",), f"variant {planned.cell.variant}: {planned.infeasible}")
                    for planned in solved.infeasible
                )
            )
        )
