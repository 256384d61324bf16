"""``vdmbench run``: every cell of a suite that is not finished yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdmbench.cli.executors import Account, Address, CpusPerCell, ExecutorName, Partition, SlurmOptions
from vdmbench.cli.interruption import ending_well
from vdmbench.cli.options import AllowCode, AsJson, Overrides, Results, SuiteFile, Tiny, load_cells
from vdmbench.cli.terminal import print_table, say, say_json, say_notes

if TYPE_CHECKING:
    from vdmbench.runner.supervisor import Summary


def run(
    suite: SuiteFile,
    overrides: Overrides = None,
    results: Results = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; run nothing.")] = False,
    retry: Annotated[
        list[str] | None, typer.Option(help="Also rerun cells with this status: oom, nan, timeout or infeasible.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELLS",
            help="Run only these cells: a variant, an identity or its first characters, or a glob pattern of labels.",
        ),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="CELLS", help="Skip these cells; named as for --only.")] = None,
    max_cells: Annotated[int | None, typer.Option("--max-cells", min=1, help="Run at most this many cells.")] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="After a failure start no further cell; running cells finish.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Cells to run in parallel, each on its own GPUs or CPU cores; 1 by default."),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="GPUS",
            help="GPUs to use, one cell per GPU: indices as in nvidia-smi or UUIDs, separated by commas; or all.",
        ),
    ] = None,
    wall_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.001,
            help="Stop after this many seconds: running cells are checkpointed, waiting cells are not started.",
        ),
    ] = None,
    executor: ExecutorName = "local",
    address: Address = None,
    cpus_per_cell: CpusPerCell = None,
    partition: Partition = None,
    account: Account = None,
    slurm: SlurmOptions = None,
    memory_snapshot: Annotated[
        bool, typer.Option("--memory-snapshot", help="Record the allocator's history of each cell for PyTorch's memory viewer.")
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="TRACKER", help="Also log to this tracker: tensorboard or wandb; may be given more than once."),
    ] = None,
    tiny: Tiny = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite, one worker process a cell. Finished cells are kept; the same command goes on where it stopped.

    Trials of a tuning, and cells whose weights others begin with, run first, also where --only names the others alone. Cells
    that --only, --exclude, --max-cells or --wall-limit leave out are left: another command on the same folder runs them.
    With --jobs or --gpus several run at a time, the longest first; two never share a device or a core. Ctrl-C lets running
    cells leave a checkpoint, a second one does not wait for it. With --executor they run on a Ray cluster or as Slurm jobs.

    Exit code: 0 complete, 1 a cell failed, 2 wrong use or suite, 3 cells left, 130 interrupted, 143 ended by SIGTERM, 129 by
    SIGHUP.

    Examples: vdmbench run tiny train.steps=20 | vdmbench run tiny --only 'mamba frames=16*' | vdmbench run tiny --gpus all
    """
    from vdmbench.cli.display import display
    from vdmbench.cli.plan import plan_as_json, print_plan, said_beforehand
    from vdmbench.cli.plan_outlook import look_ahead
    from vdmbench.cli.planning_progress import planning_progress
    from vdmbench.cli.tables import outcome_table
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.executors.choice import ExecutorChoice
    from vdmbench.runner.suite_run import SuiteRun, Wanted
    from vdmbench.runner.supervisor import Limits

    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code, tiny=tiny)
    limits = Limits(max_cells, fail_fast, wall_limit or declared.run.suite_wall_limit)
    going = SuiteRun(
        declared,
        cells,
        lines,
        ResultsFolder(results or Path("results") / declared.name),
        settings=declared.run.model_copy(update={"memory_snapshot": memory_snapshot or declared.run.memory_snapshot}),
        wanted=Wanted(only or (), exclude or (), retry or (), limits),
        executor=ExecutorChoice(executor, gpus, jobs, address, cpus_per_cell, partition, account, slurm or ()),
        trackers=track or (),
    )
    folder = going.folder
    with ending_well("the same command goes on where it stopped"):
        if dry_run:
            with planning_progress(as_json=as_json) as progress:
                solved = going.plan(progress)
            warnings = [*going.warnings, *solved.notes]
            few = said_beforehand(declared, warnings)
            if as_json:
                say_json(plan_as_json(solved, declared, warnings, few) | look_ahead(solved, declared, folder.path).as_json())
            else:
                print_plan(solved, declared)
            return
        notes: list[str] = []
        with planning_progress(as_json=as_json) as progress:
            going.prepare(progress=progress, note=notes.append)
        say_notes(notes)
        for warning in going.warnings:
            say(f"warning: {warning}", err=True)
        counted = going.counted
        with display(declared.name, len(counted)) as shown:
            summary = going.begin(shown)

    found = {cell.identity: summary.statuses[cell.identity] for cell in counted if cell.identity in summary.statuses}
    left = {cell.identity for cell in summary.left}
    poor = [(cell, record) for cell, record in summary.records if record.status != "ok"]
    if as_json:
        told = {
            "results": str(folder.path),
            "exit_code": summary.exit_code,
            "ran": summary.ran,
            "left": [cell.identity for cell in counted if cell.identity in left],
            "waits": summary.waits,
            "cells": found,
            "not_ok": [
                {
                    "identity": cell.identity,
                    "label": cell.label,
                    "status": record.status,
                    "phase": record.phase,
                    "message": record.message,
                }
                for cell, record in poor
            ],
        }
        say_json(told)
    elif poor:
        print_table(outcome_table(poor, "Cells that are not ok"))
    for reason, waiting in _by_reason(summary).items():
        say(f"left: {', '.join(waiting)}: {reason}", err=True)
    done = sum(status == "ok" for status in found.values())
    say(f"{done} of {len(counted)} cells ok, {summary.ran} run now, {len(summary.left)} left; records: {folder.path}", err=True)
    raise typer.Exit(summary.exit_code)


def _by_reason(summary: Summary) -> dict[str, list[str]]:
    """Labels of the cells that are left waiting, by what they wait for."""
    found: dict[str, list[str]] = {}
    for cell in summary.left:
        if cell.identity in summary.waits:
            found.setdefault(summary.waits[cell.identity], []).append(cell.label)
    return found
