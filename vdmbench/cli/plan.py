"""``vdmbench plan``: cells with solved widths and their cost, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdmbench.cli.options import AllowCode, AsJson, Overrides, SuiteFile, Tiny, load_cells
from vdmbench.cli.terminal import print_table, say, say_json

if TYPE_CHECKING:
    from vdmbench.cards import Device
    from vdmbench.records import Solved, Tuned
    from vdmbench.runner.planning import Plan, Planned
    from vdmbench.suite import Suite


def plan(
    suite: SuiteFile,
    overrides: Overrides = None,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Simulate peak GPU memory; takes seconds per cell the first time.")
    ] = True,
    devices: Annotated[
        str | None,
        typer.Option(
            help="Also show what fits on these devices: names (h200, rtx4090, ...) or sizes (16GiB), separated by commas."
        ),
    ] = None,
    with_packages: Annotated[
        bool, typer.Option("--with-packages", help="Plan as if every optional package were installed.")
    ] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures of the simulated memory.", file_okay=False)] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", "-r", help="Results folder to look for finished trials in; by default results/<name of the suite>."
        ),
    ] = None,
    tiny: Tiny = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Show every cell with its solved knobs, parameters, cost and simulated GPU memory. Needs no GPU and no data.

    Where trials of a tuning have been run, what they chose is shown too.

    Examples: vdmbench plan suites/tiny.yaml | vdmbench plan hth_5b --with-packages |
    vdmbench plan memory_scaling --devices rtx4090,a100-80gb,h200 --figures plan
    """
    from vdmbench.cli import memory_tables as tables
    from vdmbench.cli.plan_beginnings import choice_table, choices
    from vdmbench.cli.plan_outlook import look_ahead
    from vdmbench.cli.planning_progress import planning_progress
    from vdmbench.runner.planning import plan as solve
    from vdmbench.runner.suite_run import refuse_unreachable
    from vdmbench.suite import with_dependencies
    from vdmbench.suite.warnings import suite_warnings

    if not memory and (devices or figures or with_packages):
        raise ValueError("--devices, --figures and --with-packages speak of simulated memory: leave out --no-memory")
    cards = tables.devices_named(devices)
    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code, tiny=tiny)
    cells = with_dependencies(cells)
    with planning_progress(as_json=as_json) as progress:
        solved = solve(
            cells,
            memory=memory,
            plan_for=declared.run.plan_for,
            lines=lines,
            with_packages=with_packages,
            progress=progress,
        )
        here = None
        if with_packages:
            here = solve(cells, memory=memory, plan_for=declared.run.plan_for, lines=lines, progress=progress)
    refuse_unreachable(solved, declared, lines)
    warnings = [*suite_warnings(cells, declared.run), *solved.notes]
    few = said_beforehand(declared, warnings)
    shown = [planned for planned in solved.cells if not planned.cell.for_tuning]
    tried_in = results or Path("results") / declared.name
    chosen = choices(shown, tried_in)
    ahead = look_ahead(solved, declared, tried_in)
    if as_json:
        say_json(plan_as_json(solved, declared, warnings, few, cards, here, chosen) | ahead.as_json())
    else:
        print_plan(solved, declared)
        if chosen:
            print_table(choice_table(shown, chosen, tried_in))
        if memory:
            print_table(tables.memory_table(shown))
            for line in tables.not_simulated(shown):
                say(line)
            if here is not None and (unlike := unlike_without_packages(solved, here)):
                print_table(tables.packages_table(unlike))
        if cards:
            print_table(tables.fits_table(shown, cards))
        for line in ahead.lines():
            say(line)
    if figures is not None:
        from vdmbench.report.planned_memory import write_figures

        for path in write_figures([(planned.cell, planned.solved) for planned in shown], figures):
            say(f"figure: {path}", err=True)


def print_plan(solved: Plan, declared: Suite) -> None:
    """The table of a plan, and what its cells wait for."""
    from vdmbench.cli.plan_beginnings import begin_lines, tuning_line
    from vdmbench.cli.tables import plan_table

    print_table(plan_table([planned for planned in solved.cells if not planned.cell.for_tuning], declared.name))
    for line in filter(None, (tuning_line(solved.cells, declared), *begin_lines(solved.cells))):
        say(line)


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

    def answer(planned: Planned) -> tuple[Solved | None, str | None]:
        """But for what it was planned for, in which all cells differ."""
        solved = planned.solved
        return solved.model_copy(update={"planned_for": None}) if solved else None, planned.infeasible

    return [
        (installed, every)
        for every, installed in zip(solved.cells, here.cells, strict=True)
        if not every.cell.for_tuning and answer(every) != answer(installed)
    ]


def plan_as_json(
    solved: Plan,
    declared: Suite,
    warnings: Sequence[str],
    few: str | None,
    cards: Sequence[Device] = (),
    here: Plan | None = None,
    chosen: Mapping[str, Tuned] | None = None,
) -> dict[str, Any]:
    """What `vdmbench plan --json` and a dry run print; ``here`` is the plan with the packages that are installed."""
    return {
        "suite": declared.name,
        "cells": [
            planned.as_json(cards) | ({"tuned": tuned.model_dump(mode="json")} if tuned is not None else {})
            for planned in solved.cells
            for tuned in [(chosen or {}).get(planned.cell.identity)]
        ],
        "warnings": list(warnings),
        "notes": [few] if few else [],
        **({"without_packages": [each.as_json(cards) for each, _ in unlike_without_packages(solved, here)]} if here else {}),
    }
