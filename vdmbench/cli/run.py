"""``vdmbench run``: every cell of a suite that is not finished yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from vdmbench.cli.options import AllowCode, AsJson, Overrides, Results, SuiteFile, load_cells

if TYPE_CHECKING:
    from vdmbench.records import Status

EXIT_INTERRUPTED = 130


def run(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and run nothing.")] = False,
    retry: Annotated[
        list[str] | None, typer.Option(help="Also run cells of this status again: oom, nan, timeout, infeasible.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")] = False,
    memory_snapshot: Annotated[
        bool, typer.Option("--memory-snapshot", help="Keep the allocator's history of each cell, for PyTorch's memory viewer.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite, one worker process a cell. Finished cells are kept; the same command goes on where it stopped.

    Exit code: 0 complete, 1 a cell failed, 2 wrong use or suite, 3 cells left, 130 interrupted.

    Examples: vdmbench run suites/tiny.yaml | vdmbench run tiny train.steps=20 --results /tmp/try
    """
    from vdmbench.cli.display import display
    from vdmbench.cli.plan import refuse_unreachable
    from vdmbench.cli.tables import outcome_table, plan_table, print_table
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.devices import choose_gpu, refuse_shared_gpu
    from vdmbench.runner.planning import plan
    from vdmbench.runner.supervisor import run_suite

    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code)
    settings = declared.run.model_copy(update={"memory_snapshot": memory_snapshot or declared.run.memory_snapshot})
    again = _statuses(retry or [])
    folder = ResultsFolder(results or Path("results") / declared.name)
    if not dry_run:
        folder.prepare()
    solved = plan(cells, preflight=None if dry_run else settings)
    refuse_unreachable(solved, declared, lines)
    if dry_run:
        if as_json:
            typer.echo(json.dumps({"suite": declared.name, "cells": [planned.as_json() for planned in solved.cells]}, indent=1))
        else:
            print_table(plan_table(solved.cells, declared.name))
        return
    if solved.problems:
        raise ValueError("\n".join(["nothing was run, because:", *solved.problems]))
    folder.keep_suite(declared.model_dump_json(by_alias=True, indent=1))
    refuse_shared_gpu(choose_gpu(settings))
    try:
        with display(declared.name, len(cells)) as shown:
            summary = run_suite(folder, solved.cells, settings, shown, retry=again, fail_fast=fail_fast)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where it stopped", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None

    poor = [(planned, record) for planned, record in summary.records if record.status != "ok"]
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "results": str(folder.path),
                    "exit_code": summary.exit_code,
                    "ran": summary.ran,
                    "left": [planned.cell.identity for planned in summary.left],
                    "cells": {record.identity: record.status for _, record in summary.records},
                },
                indent=1,
            )
        )
    elif poor:
        print_table(outcome_table(poor, "Cells that are not ok"))
    done = len(summary.records) - len(poor)
    typer.echo(
        f"{done} of {len(cells)} cells ok, {summary.ran} run now, {len(summary.left)} left; records: {folder.path}", err=True
    )
    raise typer.Exit(summary.exit_code)


def _statuses(names: list[str]) -> frozenset[Status]:
    from vdmbench.records import Status

    for name in names:
        if name not in get_args(Status):
            raise ValueError(f"--retry {name}: no such status; statuses: {', '.join(get_args(Status))}")
    return frozenset(names)  # type: ignore[arg-type]
