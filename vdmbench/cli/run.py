"""``vdmbench run``: every cell of a suite that is not finished yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from vdmbench.cli.executors import Account, Address, Chosen, CpusPerCell, ExecutorName, Partition, SlurmOptions
from vdmbench.cli.interruption import ending_well
from vdmbench.cli.options import AllowCode, AsJson, Overrides, Results, SuiteFile, Tiny, load_cells
from vdmbench.cli.terminal import print_table, say, say_json, say_notes

if TYPE_CHECKING:
    from vdmbench.records import Status
    from vdmbench.runner.supervisor import Summary
    from vdmbench.suite import Cell


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
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Begin no cell after one has failed; those that run go on to their end.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Cells at a time, each on GPUs or cores of its own; 1 by default.")
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="GPUS", help="One cell a device: indices as nvidia-smi counts or UUIDs, with commas; or all."),
    ] = None,
    wall_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.001, help="Then running cells leave a checkpoint, and the rest is left."),
    ] = None,
    executor: ExecutorName = "local",
    address: Address = None,
    cpus_per_cell: CpusPerCell = None,
    partition: Partition = None,
    account: Account = None,
    slurm: SlurmOptions = None,
    memory_snapshot: Annotated[
        bool, typer.Option("--memory-snapshot", help="Keep the allocator's history of each cell, for PyTorch's memory viewer.")
    ] = False,
    track: Annotated[
        list[str] | None, typer.Option(metavar="TRACKER", help="Also tell this viewer: tensorboard or wandb; may be repeated.")
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
    from vdmbench.cli.plan import plan_as_json, print_plan, refuse_unreachable, said_beforehand
    from vdmbench.cli.plan_outlook import look_ahead
    from vdmbench.cli.planning_progress import planning_progress
    from vdmbench.cli.tables import outcome_table
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.devices import refuse_shared_gpus
    from vdmbench.runner.disk import refuse_full_disk
    from vdmbench.runner.places import divide
    from vdmbench.runner.planning import plan
    from vdmbench.runner.selection import select
    from vdmbench.runner.settled import needs_running
    from vdmbench.runner.supervisor import Limits, run_suite
    from vdmbench.runner.trackers import Tracked, open_trackers
    from vdmbench.suite import with_dependencies
    from vdmbench.suite.warnings import suite_warnings

    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code, tiny=tiny)
    everything = with_dependencies(cells)
    chosen = select(everything, only or (), exclude or ())
    left_out = {cell.identity for cell in (select(everything, exclude) if exclude else ())}
    settings = declared.run.model_copy(update={"memory_snapshot": memory_snapshot or declared.run.memory_snapshot})
    warnings = suite_warnings(with_dependencies(chosen, cells), settings)
    limits = Limits(max_cells, fail_fast, wall_limit or declared.run.suite_wall_limit)
    again = _statuses(retry or [])
    runs_it = Chosen(executor, gpus, jobs, address, cpus_per_cell, partition, account, slurm or ())
    folder = ResultsFolder(results or Path("results") / declared.name)
    with ending_well("the same command goes on where it stopped"):
        if dry_run:
            with planning_progress(as_json=as_json) as progress:
                solved = plan(with_dependencies(chosen, cells), lines=lines, progress=progress)
            refuse_unreachable(solved, declared, lines)
            warnings += solved.notes
            few = said_beforehand(declared, warnings)
            if as_json:
                say_json(plan_as_json(solved, declared, warnings, few) | look_ahead(solved, declared, folder.path).as_json())
            else:
                print_plan(solved, declared)
            return
        devices = max(cell.inputs.train.devices for cell in chosen)
        places = divide(settings, gpus=gpus, jobs=jobs, devices=devices) if executor == "local" else []
        folder.prepare()
        trackers = open_trackers([*settings.trackers, *(track or ())], folder.path)

        def unfinished_of(among: list[Cell]) -> list[Cell]:
            return [cell for cell in among if needs_running(folder.history(cell.identity), again)]

        needed = with_dependencies(unfinished_of([cell for cell in chosen if not cell.for_tuning] or chosen), cells)
        unfinished = [cell for cell in unfinished_of(needed) if cell.identity not in left_out]
        say_notes(folder.unusable.values())
        with planning_progress(as_json=as_json) as progress:
            solved = plan(
                unfinished,
                preflight=settings if runs_it.here else None,
                memory=True,
                plan_for=settings.plan_for,
                lines=lines,
                progress=progress,
            )
        refuse_unreachable(solved, declared, lines)
        if solved.problems:
            raise ValueError("\n".join(["nothing was run, because:", *solved.problems]))
        for note in solved.notes:
            say(note, err=True)
        refuse_full_disk(folder, solved.cells[:max_cells])
        for warning in warnings:
            say(f"warning: {warning}", err=True)
        folder.keep_suite(declared.model_dump_json(by_alias=True, indent=1))
        if unfinished and runs_it.here:
            refuse_shared_gpus(settings, places, devices)
        to_run = {cell.identity for cell in unfinished}
        counted = [*(cell for cell in unfinished if cell.for_tuning), *cells]
        with display(declared.name, len(counted)) as shown, Tracked(shown, trackers) as observer:
            summary = run_suite(
                folder,
                solved.cells,
                runs_it.make(folder, settings, again, places),
                observer,
                left_out=[cell for cell in cells if cell.identity not in to_run],
                retry=again,
                limits=limits,
            )

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


def _statuses(names: list[str]) -> frozenset[Status]:
    from vdmbench.records import Status

    for name in names:
        if name not in get_args(Status):
            raise ValueError(f"--retry {name}: no such status; statuses: {', '.join(get_args(Status))}")
    if "ok" in names:
        raise ValueError(
            "--retry ok: cells that are ok are kept, and never run again in their place: 'vdmbench rerun CELL' runs one again "
            "beside them, and --results with another folder all"
        )
    return frozenset(names)  # type: ignore[arg-type]
