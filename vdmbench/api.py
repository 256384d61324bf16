"""The public functions of vdmbench, which its commands use too: for a notebook, or a program.

    import vdmbench

    suite = vdmbench.load_suite("tiny", "seeds=[0]")
    vdmbench.run(suite, results="results/tiny")
    study = vdmbench.read_results("results/tiny")
    print(study.frame)
    vdmbench.api.report("results/tiny", out="reports/tiny")

Nothing here imports PyTorch before it is needed.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vdmbench import registry
from vdmbench.registry import Table, UnknownName
from vdmbench.suite import Cell, SourceLines, Suite, expand
from vdmbench.suite import load_suite as read_suite
from vdmbench.suite.errors import dotted, explain
from vdmbench.suite.shipped import find_suite
from vdmbench.user_code import allow, code_in

if TYPE_CHECKING:
    from vdmbench.mixers import Mixer
    from vdmbench.networks.denoiser import Denoiser
    from vdmbench.records import Event, Record, Status
    from vdmbench.report.study import Study
    from vdmbench.report.write import Written
    from vdmbench.runner.planning import Plan, Planned, ShowProgress
    from vdmbench.runner.supervisor import Observer, Summary

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class LoadedSuite:
    """A suite as it was read."""

    declared: Suite
    cells: list[Cell]
    """Every variant at every sweep point and seed."""
    lines: SourceLines
    """Where each field was written, for errors."""
    code: dict[str, str]
    """Python files that its cells run, with their SHA-256."""


def load_suite(file: PathLike, *overrides: str, tiny: bool = False, allow_code: bool = False) -> LoadedSuite:
    """Read, check and expand a suite.

    Args:
        file: a YAML file, or the name of a shipped suite such as ``tiny``.
        overrides: fields to set otherwise, such as ``train.steps=10``.
        tiny: as small as the suite's own ``tiny`` block says.
        allow_code: run the Python files that the suite names as ``path.py:Class``. Read them first.

    Raises:
        SuiteError: a problem of the suite, each with file and line.
        ValueError: no such file or shipped suite; or the suite names code and ``allow_code`` is not set.
    """
    declared, lines = read_suite(find_suite(Path(file)), overrides, tiny=tiny)
    cells = expand(declared, lines)
    return LoadedSuite(declared, cells, lines, open_gate(cells, str(file), allow_code=allow_code))


def open_gate(cells: Sequence[Cell], origin: str, *, allow_code: bool) -> dict[str, str]:
    """Let the code that ``cells`` name run, where ``allow_code`` says so: each name with its SHA-256.

    Raises:
        ValueError: cells name code, and it is not allowed.
    """
    named = {name: sha256 for cell in cells for name, sha256 in code_in(cell.inputs.model_dump()).items()}
    if named and not allow_code:
        raise ValueError(f"{origin} would run {', '.join(named)}: read the code, then add --allow-code")
    allow(named.values())
    return named


def plan(suite: LoadedSuite, *, memory: bool = True, with_packages: bool = False, progress: ShowProgress | None = None) -> Plan:
    """Solve every cell, and the cells that they wait for: widths, parameters, FLOPs, simulated peaks of GPU memory.

    Args:
        memory: simulate peaks in bytes, on the card of ``run.plan_for``.
        with_packages: plan as if every optional package were installed.
        progress: called with the settings solved so far, and with how many there are.

    Raises:
        CannotBuild: a network that cannot be built as declared, a line each.
        SuiteError: a variant cannot reach the budget of ``match``, and the suite does not say that this is to be recorded.
    """
    from vdmbench.runner.planning import plan as solve
    from vdmbench.runner.suite_run import refuse_unreachable
    from vdmbench.suite import with_dependencies

    solved = solve(
        with_dependencies(suite.cells),
        memory=memory,
        plan_for=suite.declared.run.plan_for,
        with_packages=with_packages,
        lines=suite.lines,
        progress=progress,
    )
    refuse_unreachable(solved, suite.declared, suite.lines)
    return solved


def run(
    suite: LoadedSuite,
    results: PathLike | None = None,
    *,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry: Sequence[str] = (),
    jobs: int | None = None,
    gpus: str | None = None,
    max_cells: int | None = None,
    fail_fast: bool = False,
    wall_limit: float | None = None,
    observer: Observer | None = None,
    progress: ShowProgress | None = None,
) -> Summary:
    """Run every cell that has no result yet, one worker process a cell; the same call goes on where it stopped.

    What is worth knowing (of data, records, settings) is a Python warning. Arguments are those of ``vdmbench run``.

    Args:
        results: folder of records; by default ``results/<name of the suite>``.
        observer: hears of every cell and event; by default nobody does.

    Returns:
        ``statuses`` by identity, ``records`` of what ran now, ``left`` cells, and ``exit_code``: 0 complete, 1 a cell failed, 3
        cells are left.

    Raises:
        ValueError: something is missing (data, a device, a package, room on the disk), a line each; nothing was run.
        KeyboardInterrupt: running cells have left checkpoints.
    """
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.executors.choice import ExecutorChoice
    from vdmbench.runner.suite_run import SuiteRun, Wanted
    from vdmbench.runner.supervisor import Limits

    limits = Limits(max_cells, fail_fast, wall_limit or suite.declared.run.suite_wall_limit)
    going = SuiteRun(
        suite.declared,
        suite.cells,
        suite.lines,
        ResultsFolder(Path(results or Path("results") / suite.declared.name)),
        settings=suite.declared.run,
        wanted=Wanted(only, exclude, retry, limits),
        executor=ExecutorChoice(jobs=jobs, gpus=gpus),
    )
    going.prepare(progress=progress, note=_warn)
    for line in going.warnings:
        _warn(line)
    return going.begin(observer or _Unobserved())


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)


class _Unobserved:
    """Nobody looks on."""

    def found(self, statuses: Counter[Status], waiting: Sequence[Planned]) -> None: ...

    def cell_started(self, planned: Planned, number: int, total: int) -> None: ...

    def event(self, planned: Planned, event: Event) -> None: ...

    def cell_ended(self, planned: Planned, record: Record) -> None: ...

    def seconds_left(self, seconds: float | None) -> None: ...

    def stopping(self, reason: str) -> None: ...


def read_results(*folders: PathLike, reference: str | None = None) -> Study:
    """Every cell of results folders, grouped for comparison: ``study.frame`` is a tidy pandas DataFrame, a row a cell.

    :mod:`vdmbench.report` makes tables and figures of it: ``main_table(study)``, ``draw(study, "frontier").axes``.

    Args:
        reference: variant that others are compared with; by default that of the suite's ``match``.

    Raises:
        ResultsError: no results in a folder.
        NotComparable: records that no table may hold together, or an unknown reference.
    """
    from vdmbench.report.declaration import declared_suite
    from vdmbench.report.results import read_results as read_cells
    from vdmbench.report.write import study_of

    paths = [Path(folder) for folder in folders]
    notes: list[str] = []
    study = study_of(read_cells(paths, notes), declared_suite(paths), reference)
    for line in notes:
        _warn(line)
    return study


def report(
    *folders: PathLike, out: PathLike | None = None, reference: str | None = None, style: str = "default", mp4: bool = False
) -> Written:
    """Write tables, figures, verdicts on claims and one self-contained page; arguments are those of ``vdmbench report``.

    Returns:
        ``files``, ``missing`` (what could not be made, with the reason) and ``notes``.

    Raises:
        ResultsError, NotComparable: as :func:`read_results`.
    """
    from vdmbench.report.write import write_report

    paths = [Path(folder) for folder in folders]
    written = Path(out) if out is not None else Path("reports") / paths[0].resolve().name
    return write_report(paths, written, reference=reference, style=style, mp4=mp4)


def build_mixer(name: str, channels: int, **options: Any) -> Mixer:
    """A temporal mixer, a PyTorch module from (batch, frames, channels) to the same.

    Args:
        name: of ``vdmbench list mixers``.
        channels: features a frame.
        options: those of the mixer, checked as in a suite.

    Raises:
        ValueError: an unknown name or option, with the names that are known.
    """
    from vdmbench.mixers.making import mixer_maker

    return mixer_maker(_checked(registry.mixers, name, options))(channels)


def build_network(name: str, *, mixer: str | dict[str, Any], **options: Any) -> Denoiser:
    """A denoiser, a PyTorch module from a noisy clip (batch, frames, channels, height, width) and its noise level to the same.

    Args:
        name: of ``vdmbench list networks``.
        mixer: of its temporal layers: a name, or ``{"name": ..., **options}``.
        options: those of the network, checked as in a suite.

    Raises:
        ValueError: an unknown name or option, or sizes that do not fit together.
    """
    from vdmbench.networks import build

    named = {"name": mixer} if isinstance(mixer, str) else dict(mixer)
    return build(_checked(registry.networks, name, options), _checked(registry.mixers, named.pop("name"), named))


def _checked(table: Table, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``{"name": ..., **options}`` with every default, as a suite has it."""
    try:
        entry = table[name]
        return {"name": name, **entry.load_options().model_validate(options).model_dump(mode="json")}
    except UnknownName as error:
        raise ValueError(error.message) from None
    except ValidationError as error:
        problems = explain(error, entry.load_options(), options)
        raise ValueError(
            "\n".join(f"{name}: {dotted(path)}: {said}" if path else f"{name}: {said}" for path, said in problems)
        ) from None


def fvd(real: PathLike, generated: PathLike, **settings: Any) -> dict[str, Any]:
    """FVD and its companions between two folders of videos; settings are those of :func:`vdmbench.folders.compare_folders`.

    Returns:
        ``{"metrics": [...], "real": {...}, "generated": {...}, "notes": [...]}``.
    """
    from vdmbench.folders import compare_folders

    return compare_folders(Path(real), Path(generated), **settings)
