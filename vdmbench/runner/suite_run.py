"""What one command, or one call, asks of a suite: which cells, where, on what; planned, checked and then run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import get_args

from vdmbench.records import ResultsFolder, Status
from vdmbench.runner.devices import refuse_shared_gpus
from vdmbench.runner.disk import refuse_full_disk
from vdmbench.runner.executors.choice import ExecutorChoice
from vdmbench.runner.places import Place, divide
from vdmbench.runner.planning import Plan, ShowProgress, plan
from vdmbench.runner.selection import select
from vdmbench.runner.settled import needs_running
from vdmbench.runner.supervisor import Limits, Observer, Summary, run_suite
from vdmbench.runner.trackers import Tracked, Tracker, open_trackers
from vdmbench.suite import Cell, SourceLines, Suite, SuiteError, with_dependencies
from vdmbench.suite.blocks import Run
from vdmbench.suite.warnings import suite_warnings


@dataclass(frozen=True)
class Wanted:
    """Which cells, and for how long. What a cell waits for (trials of a tuning, weights to begin with) comes with it."""

    only: Sequence[str] = ()
    """Variants, identities or their beginnings, or globs of labels; empty is all."""
    exclude: Sequence[str] = ()
    retry: Sequence[str] = ()
    """Statuses of finished cells that are run again."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in self.retry:
            if name not in get_args(Status):
                raise ValueError(f"--retry {name}: no such status; statuses: {', '.join(get_args(Status))}")
        if "ok" in self.retry:
            raise ValueError(
                "--retry ok: cells that are ok are kept, and never run again in their place: 'vdmbench rerun CELL' runs one "
                "again beside them, and --results with another folder all"
            )

    @property
    def again(self) -> frozenset[Status]:
        return frozenset(self.retry)  # type: ignore[arg-type]


class SuiteRun:
    """A suite on its way to records: :meth:`prepare`, then :meth:`begin`.

    Args:
        cells: of the suite, without those that they wait for.
        folder: where records are, and will be.
        settings: of the runs themselves, the suite's own unless changed.
        trackers: names of more trackers than the suite's.
    """

    def __init__(
        self,
        declared: Suite,
        cells: list[Cell],
        lines: SourceLines,
        folder: ResultsFolder,
        *,
        settings: Run,
        wanted: Wanted,
        executor: ExecutorChoice,
        trackers: Sequence[str] = (),
    ) -> None:
        self.declared, self.cells, self.lines, self.folder = declared, cells, lines, folder
        self.settings, self.wanted, self.executor = settings, wanted, executor
        everything = with_dependencies(cells)
        self.chosen = select(everything, wanted.only, wanted.exclude)
        self.left_out = {cell.identity for cell in (select(everything, wanted.exclude) if wanted.exclude else ())}
        self.warnings = suite_warnings(with_dependencies(self.chosen, cells), settings)
        self._tracker_names = [*settings.trackers, *trackers]
        self._trackers: dict[str, Tracker] = {}
        self._places: list[Place] = []
        # Before planning, which takes a while: what a run beside this one comes to meanwhile is not tried again.
        tried = with_dependencies(self.chosen, cells)
        self._ended_before = {cell.identity: folder.ended_attempts(cell.identity) for cell in tried}

    @property
    def counted(self) -> list[Cell]:
        """Cells that a display counts: trials that are to be run, then those of the suite."""
        return [*(planned.cell for planned in self.planned.cells if planned.cell.for_tuning), *self.cells]

    def plan(self, progress: ShowProgress | None = None) -> Plan:
        """Every chosen cell and what it waits for, finished or not; nothing is checked of this machine, and nothing written."""
        solved = plan(with_dependencies(self.chosen, self.cells), lines=self.lines, progress=progress)
        refuse_unreachable(solved, self.declared, self.lines)
        return solved

    def prepare(self, *, progress: ShowProgress | None = None, note: Callable[[str], None] = lambda line: None) -> None:
        """Plan the cells that need to run, and make sure that they can: folder, data, devices, disk.

        :param note: hears what its reader should know of records and data.
        :raises ValueError: something is missing, a line each; nothing was run.
        """
        devices = max(cell.inputs.train.devices for cell in self.chosen)
        choice, settings = self.executor, self.settings
        if choice.name == "local":
            self._places = divide(settings, gpus=choice.gpus, jobs=choice.jobs, devices=devices)
        self.folder.prepare()
        self._trackers = open_trackers(self._tracker_names, self.folder.path)
        unfinished = self._unfinished()
        for line in self.folder.unusable.values():
            note(line)
        self.planned = plan(
            unfinished,
            preflight=settings if choice.here else None,
            memory=True,
            plan_for=settings.plan_for,
            lines=self.lines,
            progress=progress,
        )
        refuse_unreachable(self.planned, self.declared, self.lines)
        if self.planned.problems:
            raise ValueError("\n".join(["nothing was run, because:", *self.planned.problems]))
        for line in self.planned.notes:
            note(line)
        refuse_full_disk(self.folder, self.planned.cells[: self.wanted.limits.max_cells])
        self.folder.keep_suite(self.declared.model_dump_json(by_alias=True, indent=1))
        if unfinished and choice.here:
            refuse_shared_gpus(settings, self._places, devices)

    def begin(self, observer: Observer) -> Summary:
        """Run what :meth:`prepare` planned."""
        to_run = {planned.cell.identity for planned in self.planned.cells}
        with Tracked(observer, self._trackers) as tracked:
            return run_suite(
                self.folder,
                self.planned.cells,
                self.executor.make(self.folder, self.settings, self.wanted.again, self._places),
                tracked,
                left_out=[cell for cell in self.cells if cell.identity not in to_run],
                retry=self.wanted.again,
                limits=self.wanted.limits,
                ended_before=self._ended_before,
            )

    def _unfinished(self) -> list[Cell]:
        def unfinished_of(among: list[Cell]) -> list[Cell]:
            return [
                cell
                for cell in among
                if needs_running(self.folder.history(cell.identity), self.wanted.again, self._ended_before.get(cell.identity))
            ]

        final = [cell for cell in self.chosen if not cell.for_tuning] or self.chosen
        needed = with_dependencies(unfinished_of(final), self.cells)
        return [cell for cell in unfinished_of(needed) if cell.identity not in self.left_out]


def refuse_unreachable(solved: Plan, declared: Suite, lines: SourceLines) -> None:
    """A target that a variant cannot reach is an error, unless the suite says that it is to be recorded."""
    if declared.match is None or declared.match.unreachable != "error" or not solved.infeasible:
        return
    places = [
        lines.problem(("match",), f"variant {planned.cell.variant}: {planned.infeasible}") for planned in solved.infeasible
    ]
    raise SuiteError(list(dict.fromkeys(places)))
