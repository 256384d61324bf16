"""Cells for executors' tests, and an observer that can do something while one runs."""

from __future__ import annotations

from collections.abc import Callable

from tests.suite.texts import MINIMAL
from vdmbench.matching import solve
from vdmbench.records import ResultsFolder
from vdmbench.runner.planning import Planned
from vdmbench.runner.supervisor import Summary, run_suite
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run

ON_CPU = Run(device="cpu", threads=1, checkpoint_every=2)


def cells(count: int, *overrides: str) -> list[Planned]:
    """As many seeds of a network without a mixer."""
    declared = [f"seeds={list(range(count))}", "train.warm_up=0", *overrides]
    found = [cell for cell in expand(*parse_suite(MINIMAL, overrides=declared)) if cell.variant == "floor"]
    solved = solve(found[0].inputs).solved
    return [Planned(cell, solved, None) for cell in found]


class At:
    """Acts once, when the first cell has come to a step of its training."""

    def __init__(self, step: int = 10**9, act: Callable[[Planned], None] | None = None) -> None:
        self.step, self.act = step, act
        self.hit: Planned | None = None
        self.started: list[str] = []

    def found(self, statuses, waiting): ...

    def cell_started(self, planned, number, total):
        self.started.append(planned.cell.identity)

    def event(self, planned, event):
        trains = event["type"] == "progress" and event["phase"] == "train"
        if self.act and not self.hit and trains and event["step"] >= self.step:
            self.hit = planned
            self.act(planned)

    def cell_ended(self, planned, record): ...

    def seconds_left(self, seconds): ...

    def stopping(self, reason): ...


def run(results: ResultsFolder, plan: list[Planned], executor, observer: At | None = None) -> Summary:
    return run_suite(results, plan, executor, observer or At())


def prepared(path) -> ResultsFolder:
    results = ResultsFolder(path)
    results.prepare()
    return results


def statuses(results: ResultsFolder, planned: Planned) -> list[str]:
    """Of every attempt at the cell, in order."""
    history = results.history(planned.cell.identity)
    return [] if history is None else [attempt.status for attempt in history.attempts]
