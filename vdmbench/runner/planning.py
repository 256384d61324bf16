"""Solve and check cells without loading torch into the supervising process: both happen in one child.

The child reads the declared inputs of the cells on its standard input and answers on its standard output, in JSON. Cells
that differ only in what the answer does not depend on, such as the seed, share one answer; what was answered before is kept
(:mod:`~vdmbench.runner.plan_cache`).
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from vdmbench.cards import PLANNED_FOR, Device
from vdmbench.records import OutOfMemory, Solved
from vdmbench.runner.common_weights import CommonWeights, little_in_common, with_common_weights
from vdmbench.runner.plan_cache import PlanCache, parse_answer
from vdmbench.runner.stopping import Stop
from vdmbench.suite import Cell, CellInputs, SourceLines
from vdmbench.suite.blocks import Run
from vdmbench.suite.errors import dotted
from vdmbench.suite.expansion import problem_of
from vdmbench.suite.pattern import FORMS

if TYPE_CHECKING:
    from vdmbench.runner.beginning import Beginning
ShowProgress = Callable[[int, int], None]
"""Is given how many settings of how many are solved, from the first second on."""


class PlanningFailed(RuntimeError):
    """The child died; the message holds the end of what it said."""


@dataclass(frozen=True)
class Refused:
    """A cell that cannot be run as it is declared."""

    cell: Cell
    path: tuple[str | int, ...]
    """Of the field that decides it; empty where none does alone."""
    message: str


class CannotBuild(ValueError):
    """What was declared gives no network, or nothing that the engine can train, sample and judge; a line each."""

    def __init__(self, refused: Sequence[Refused], lines: SourceLines | None = None) -> None:
        self.refused = refused
        super().__init__("\n".join(dict.fromkeys(_line(each, lines) for each in refused)))


def _line(refused: Refused, lines: SourceLines | None) -> str:
    if lines is not None:
        return problem_of(refused.cell, refused.path, refused.message, lines)
    return f"variant {refused.cell.variant}: {': '.join(filter(None, (dotted(refused.path), refused.message)))}"


@dataclass(frozen=True)
class Planned:
    """A cell and what the solver made of it: widths and costs, or why it cannot be."""

    cell: Cell
    solved: Solved | None
    infeasible: str | None
    beginning: Beginning | None = None
    """What others gave it to begin with; None of a cell that waits for none, or still waits."""
    ended_before: frozenset[str] | None = None
    """Ids of its attempts that had ended when the run began that is to run it; None where no run has begun."""
    common: CommonWeights | None = None
    """What it takes over from the cell that it begins with; None where it begins with none, or that one was not planned."""

    def fits(self, device: Device) -> bool | None:
        """Whether both phases run on that device; None where their memory was not simulated."""
        if self.solved is None or not self.solved.memory:
            return None
        return all(phase.least_capacity_bytes <= device.usable_bytes for phase in self.solved.memory.values())

    def as_json(self, devices: Sequence[Device] = ()) -> dict[str, Any]:
        """The cell as ``vdmbench plan --json`` shows it."""
        solved = self.solved.model_dump(mode="json") if self.solved else None
        return {
            "identity": self.cell.identity,
            "variant": self.cell.variant,
            "point": self.cell.point,
            "seed": self.cell.seed,
            "knobs": solved and solved["knobs"],
            "parameters": solved and solved["parameters"],
            "solved": solved,
            "infeasible": self.infeasible,
            **({"for_tuning": True} if self.cell.for_tuning else {}),
            **({"begins_with": asdict(self.common)} if self.common else {}),
            **({"fits": {device.name: self.fits(device) for device in devices}} if devices else {}),
        }


@dataclass(frozen=True)
class Plan:
    """Every cell, solved; and what stands in the way of running them, a line each."""

    cells: list[Planned]
    problems: list[str]
    notes: list[str] = field(default_factory=list)
    """What its reader should know of the data before anything runs."""

    @property
    def infeasible(self) -> list[Planned]:
        return [planned for planned in self.cells if planned.infeasible]


def plan(
    cells: Sequence[Cell],
    *,
    preflight: Run | None = None,
    memory: bool = False,
    plan_for: str = PLANNED_FOR,
    with_packages: bool = False,
    lines: SourceLines | None = None,
    progress: ShowProgress | None = None,
) -> Plan:
    """Solve every cell, and with ``preflight`` check that data, devices and backends for running them are there.

    What was solved before is taken from the user's cache; the checks are made every time.

    :param memory: simulate the peaks of CUDA memory of every cell, also where no match asks for them.
    :param plan_for: the card whose peaks those are.
    :param progress: is told how far it is where anything is to be solved.
    :param with_packages: plan memory as if every optional package were installed, not those that are.
    :param lines: where the suite was written, for errors.
    :raises CannotBuild: a cell's network cannot be built as declared, or the engine would refuse to run it.
    :raises PlanningFailed: the child ended abnormally.
    """
    if not cells:
        return Plan([], [])
    cache = PlanCache(cells[0].suite, memory=memory, plan_for=plan_for, with_packages=with_packages)
    unknown = [cell for cell in cells if cache.get(cell.identity) is None]
    alike = _alike(unknown)
    asked = [same[0] for same in alike]
    solved: dict[str, tuple[Solved | None, str | None]] = {}
    problems: list[str] = []
    notes: list[str] = []
    if asked or preflight:
        if asked and progress is not None:
            progress(0, len(asked))
        answer = _ask({
            "cells": [cell.inputs.model_dump(mode="json") for cell in asked],
            "checked": [inputs.model_dump(mode="json") for inputs in _distinct(cells)] if preflight else [],
            "preflight": preflight and preflight.model_dump(mode="json"),
            "memory": memory,
            "plan_for": plan_for,
            "with_packages": with_packages,
        }, progress=progress)  # fmt: skip
        if answer["refused"]:
            raise CannotBuild(
                [Refused(asked[each["cell"]], tuple(each["path"]), each["message"]) for each in answer["refused"]], lines
            )
        for same, each in zip(alike, answer["plan"], strict=True):
            parsed = parse_answer(each)
            solved.update((cell.identity, parsed) for cell in same)
            cache.add(same, each)
        cache.save()
        problems, notes = answer["problems"], answer["notes"]
    answers = [solved.get(cell.identity) or cache.get(cell.identity) for cell in cells]
    planned = [Planned(cell, *each) for cell, each in zip(cells, answers, strict=True) if each is not None]
    planned, strangers = with_common_weights(planned, _ask)
    if strangers:
        raise CannotBuild([Refused(each.cell, ("init_from",), message) for each, message in strangers], lines)
    return Plan(planned, problems, [*notes, *little_in_common(planned)])


INDIFFERENT = ("steps", "learning_rate", "learning_rate_warm_up", "schedule", "min_learning_rate", "warm_up")
"""Of training: neither cost, memory nor any check depends on these, and suites sweep them."""
_CHECKED = {"condition", "data", "evaluate", "sample", "train", *FORMS}


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells of one answer together: those of other seeds, and of other values of what is indifferent."""
    first: dict[str, tuple[Cell, str]] = {}  # of one point mostly all are alike, and comparing is quicker than dumping
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        place = repr((cell.variant, cell.point))
        if place not in first or any(getattr(first[place][0].inputs, each) != getattr(cell.inputs, each) for each in _DECLARED):
            first[place] = cell, fingerprint(cell.inputs, _DECLARED)
        found.setdefault(first[place][1], []).append(cell)
    return list(found.values())


_DECLARED = set(CellInputs.model_fields) - {"variant", "seed"}


def _distinct(cells: Sequence[Cell]) -> list[CellInputs]:
    """One cell for each combination of what the checks look at: those of a sweep over anything else need no check more."""
    return list({fingerprint(cell.inputs, _CHECKED): cell.inputs for cell in cells}.values())


def fingerprint(inputs: CellInputs, blocks: set[str]) -> str:
    """Equal for cells that differ in none of ``blocks``, but for what is indifferent of training."""
    told = inputs.model_dump(mode="json", include=blocks)
    for block in [told, *([told["reference"]] if told.get("reference") else [])]:
        for indifferent in INDIFFERENT:
            del block["train"][indifferent]
    return json.dumps(told, sort_keys=True)


def what_would_fit(inputs: CellInputs, solved: Solved, capacity: int | None, stop: Stop) -> OutOfMemory:
    """After a cell ran out of memory; ``capacity`` is what it had, in bytes. Takes a simulation for each setting tried.

    :raises PlanningFailed: it cannot be simulated, the child ended abnormally, or ``stop`` was asked.
    """
    answer = _ask({"cell": inputs.model_dump(mode="json"), "knobs": solved.knobs, "capacity": capacity}, stop)
    if "unknown" in answer:
        raise PlanningFailed(answer["unknown"])
    return OutOfMemory.model_validate(answer)


def _ask(question: dict[str, Any], stop: Stop | None = None, progress: ShowProgress | None = None) -> dict[str, Any]:
    with subprocess.Popen(
        [sys.executable, "-m", "vdmbench.runner.planner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            answer, said = _conversation(child, json.dumps(question), stop, progress)
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0 or answer is None:
        raise PlanningFailed(f"the planner exited with {child.returncode}:\n{said.strip()[-4000:]}")
    return answer


def _conversation(
    child: subprocess.Popen[str], question: str, stop: Stop | None, progress: ShowProgress | None
) -> tuple[dict[str, Any] | None, str]:
    """The child's answer, None where it died without one, and what it said on standard error."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    said: list[str] = []
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=work, args=given, daemon=True)
        for work, *given in (
            (_send, child.stdin, question),
            (_read_lines, child.stdout, lines),
            (_read_all, child.stderr, said),
        )
    ]
    for thread in threads:
        thread.start()
    answer = None
    while (line := _next_line(lines, stop)) is not None:
        spoken = json.loads(line)
        if "answer" in spoken:
            answer = spoken["answer"]
        elif progress is not None:
            progress(spoken["done"], spoken["of"])
    for thread in threads:
        thread.join()
    child.wait()
    return answer, "".join(said)


def _next_line(lines: queue.SimpleQueue[str | None], stop: Stop | None) -> str | None:
    while True:
        try:
            return lines.get(timeout=0.2)
        except queue.Empty:
            if stop is not None and stop.asked:
                raise PlanningFailed("the run was told to end meanwhile") from None


def _send(to: IO[str], text: str) -> None:
    with contextlib.suppress(BrokenPipeError), to:  # it died, and its standard error says of what
        to.write(text)


def _read_lines(source: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in source:
        lines.put(line)
    lines.put(None)


def _read_all(source: IO[str], said: list[str]) -> None:
    said.append(source.read())
