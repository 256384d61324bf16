"""``vdmbench run``: every cell of a suite that is not finished yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from vdmbench.cli.interruption import ending_well
from vdmbench.cli.options import AllowCode, AsJson, Overrides, Results, SuiteFile, load_cells

if TYPE_CHECKING:
    from vdmbench.records import Status


def run(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and run nothing.")] = False,
    retry: Annotated[
        list[str] | None, typer.Option(help="Also run cells of this status again: oom, nan, timeout, infeasible.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELLS", help="Run these only: a variant, an identity or its beginning, or a glob of labels."),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="CELLS", help="Leave these out; named as for --only.")] = None,
    max_cells: Annotated[
        int | None, typer.Option("--max-cells", min=1, help="Run at most so many cells, and leave the rest.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")] = False,
    memory_snapshot: Annotated[
        bool, typer.Option("--memory-snapshot", help="Keep the allocator's history of each cell, for PyTorch's memory viewer.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite, one worker process a cell. Finished cells are kept; the same command goes on where it stopped.

    Cells that --only, --exclude or --max-cells leave out are left: another command on the same folder runs them.

    Exit code: 0 complete, 1 a cell failed, 2 wrong use or suite, 3 cells left, 130 interrupted, 143 ended by SIGTERM.

    Examples: vdmbench run suites/tiny.yaml | vdmbench run tiny --only 'mamba frames=16*' | vdmbench run tiny train.steps=20
    """
    from vdmbench.cli.display import display
    from vdmbench.cli.plan import refuse_unreachable
    from vdmbench.cli.tables import outcome_table, plan_table, print_table
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.devices import choose_gpu, refuse_shared_gpu
    from vdmbench.runner.disk import refuse_full_disk
    from vdmbench.runner.executors.local import LocalExecutor
    from vdmbench.runner.planning import plan
    from vdmbench.runner.selection import select
    from vdmbench.runner.settled import needs_running
    from vdmbench.runner.supervisor import run_suite

    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code)
    chosen = select(cells, only or (), exclude or ())
    settings = declared.run.model_copy(update={"memory_snapshot": memory_snapshot or declared.run.memory_snapshot})
    again = _statuses(retry or [])
    folder = ResultsFolder(results or Path("results") / declared.name)
    with ending_well("the same command goes on where it stopped"):
        if not dry_run:
            folder.prepare()
        solved = plan(chosen, preflight=None if dry_run else settings)
        refuse_unreachable(solved, declared, lines)
        if dry_run:
            if as_json:
                answer = {"suite": declared.name, "cells": [planned.as_json() for planned in solved.cells]}
                typer.echo(json.dumps(answer, indent=1))
            else:
                print_table(plan_table(solved.cells, declared.name))
            return
        if solved.problems:
            raise ValueError("\n".join(["nothing was run, because:", *solved.problems]))
        to_run = [planned for planned in solved.cells if needs_running(folder.history(planned.cell.identity), again)]
        refuse_full_disk(folder, to_run[:max_cells])
        folder.keep_suite(declared.model_dump_json(by_alias=True, indent=1))
        refuse_shared_gpu(choose_gpu(settings))
        with display(declared.name, len(chosen)) as shown:
            summary = run_suite(
                folder,
                solved.cells,
                LocalExecutor(folder, settings, retry=again),
                shown,
                left_out=[cell for cell in cells if cell not in chosen],
                retry=again,
                fail_fast=fail_fast,
                max_cells=max_cells,
            )

    poor = [(cell, record) for cell, record in summary.records if record.status != "ok"]
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "results": str(folder.path),
                    "exit_code": summary.exit_code,
                    "ran": summary.ran,
                    "left": [cell.identity for cell in summary.left],
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
