"""``vdmbench rerun``: does a cell give the same again?"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdmbench.cli.cells import DEFAULT_RESULTS, CellName, WhereToLook, find_cell
from vdmbench.cli.compare import THRESHOLDS
from vdmbench.cli.interruption import ending_well
from vdmbench.cli.options import AllowCode, AsJson, refuse_code
from vdmbench.cli.terminal import say, say_json

if TYPE_CHECKING:
    from vdmbench.cli.cells import Found
    from vdmbench.records import Record, ResultsFolder
    from vdmbench.suite import Cell
    from vdmbench.suite.blocks import Run


def rerun(
    cell: CellName,
    results: WhereToLook = DEFAULT_RESULTS,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="New results folder; by default reruns/ in the cell's results folder.", file_okay=False),
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="File with a [gate] table; by default vdmbench.toml, if it exists.")
    ] = None,
    portable: Annotated[bool, typer.Option("--portable", help="Compare only what does not depend on the machine.")] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run a cell again from nothing but its record, in a results folder of its own, and compare the two as the gate does.

    The trials that chose for it, and the cell whose weights it begins with, are run again before it.

    Exit code: 0 nothing is worse, 1 something is, 2 wrong use, 4 undecided, 130 interrupted, 143 ended by SIGTERM.

    Example: vdmbench rerun 'mamba seed=0' --results results/tiny --portable
    """
    from vdmbench.records import ResultsFolder
    from vdmbench.report.gate import compare_cells
    from vdmbench.report.results import Cell as ReportedCell
    from vdmbench.report.results import read_results
    from vdmbench.report.thresholds import load_thresholds

    found = find_cell(cell, results)
    record = found.history.latest
    file = thresholds or (THRESHOLDS if THRESHOLDS.exists() else None)
    limits = load_thresholds(file, results=found.results.path)
    again = _declared_by(record)
    refuse_code([again], found.named, allow_code=allow_code)
    folder = ResultsFolder(into or _free_folder(found))
    if folder.path.exists():
        raise ValueError(f"{folder.path}: exists; a rerun begins with nothing, so name a new folder with --into")
    with ending_well(f"nothing was compared; what there is of it: {folder.path}"):
        _run(again, folder, _settings(found))
    comparison = compare_cells([ReportedCell(record)], read_results([folder.path]), limits, portable=portable)
    if as_json:
        say_json(json.loads(comparison.to_json()))
    else:
        say(comparison.to_markdown())
    say(f"records: {folder.path}", err=True)
    raise typer.Exit(comparison.exit_code)


def _declared_by(record: Record) -> Cell:
    """The cell as its record declares it. ValueError where this vdmbench would call it another."""
    from vdmbench.suite import NUMBERS, Cell, CellInputs

    if record.numbers != NUMBERS:
        raise ValueError(
            f"{record.label}: its record is of numbers version {record.numbers} and this vdmbench makes version {NUMBERS} "
            "(docs/suites.md says what changed): rerun it with the vdmbench that wrote it, or run its suite anew"
        )
    another = f"{record.label}: this vdmbench declares other fields than the one that wrote the record; use that version"
    try:
        inputs = CellInputs.model_validate(record.declared)
    except ValueError as error:
        raise ValueError(f"{another} ({' '.join(str(error).split())[:200]})") from None
    if inputs.identity() != record.identity:
        raise ValueError(f"{another} (the identity is {inputs.identity()} now and was {record.identity})")
    return Cell(record.suite, record.variant, record.point, record.seed, inputs, record.identity)


def _settings(found: Found) -> Run:
    """Where and with which limits it ran; defaults where only the record was kept, as in a baseline."""
    from vdmbench.runner.task import TASK_FILE, Task
    from vdmbench.suite.blocks import Run

    folder = found.results.folder_of(found.history.latest).path
    return Task.read(folder).run if (folder / TASK_FILE).exists() else Run()


def _free_folder(found: Found) -> Path:
    reruns = found.results.path / "reruns"
    candidates = (reruns / f"{found.history.identity}-{number}" for number in itertools.count(1))
    return next(path for path in candidates if not path.exists())


def _run(cell: Cell, folder: ResultsFolder, settings: Run) -> None:
    """One attempt, and before it what the cell waits for, shown as a run is."""
    from vdmbench.cli.display import display
    from vdmbench.runner.devices import refuse_shared_gpus
    from vdmbench.runner.disk import refuse_full_disk
    from vdmbench.runner.executors.local import LocalExecutor
    from vdmbench.runner.places import Place
    from vdmbench.runner.planning import plan
    from vdmbench.runner.supervisor import run_suite
    from vdmbench.suite import with_dependencies

    cells = with_dependencies([cell])
    planned = plan(cells, preflight=settings, memory=True, plan_for=settings.plan_for)
    if planned.problems:
        raise ValueError("\n".join(["nothing was run, because:", *planned.problems]))
    folder.prepare()
    refuse_full_disk(folder, planned.cells)
    refuse_shared_gpus(settings, [Place()], cell.inputs.train.devices)
    with display(f"rerun of {cell.suite}", len(cells)) as shown:
        run_suite(folder, planned.cells, LocalExecutor(folder, settings), shown)
