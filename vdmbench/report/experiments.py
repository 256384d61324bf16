"""Cells of one suite that were declared otherwise are of other experiments, which have rows and panels of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vdmbench.records.experiments import Declaration, Experiment, differences, experiments
from vdmbench.report.declaration import DeclaredSuite, not_run
from vdmbench.report.results import Cell


@dataclass(frozen=True)
class Parted:
    """The cells of a study, those of an experiment under one name."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    """What tells the experiments apart, and which of them are left out."""
    declared: frozenset[str] = frozenset()
    """Names of the experiments that a suite declares now."""
    first: frozenset[str] = frozenset()
    """Names of the first experiment of every suite."""

    def first_alone(self, why: str) -> Parted:
        """Without any but the first experiment of every suite, for the reason given."""
        kept = tuple(cell for cell in self.cells if cell.suite in self.first)
        others = dict.fromkeys(cell.suite for cell in self.cells if cell.suite not in self.first)
        note = f"Left out: {', '.join(others)}; {why}."
        return replace(self, cells=kept, notes=(*self.notes, note))


def told_apart(found: Sequence[Cell], declared: DeclaredSuite) -> Parted:
    """The cells of ``found``, and those of ``declared`` that were never begun, experiment by experiment.

    What a suite declares now keeps its name and comes first. Another experiment is shown where it compares two variants or
    more; else it is left out, and a note names it.
    """
    cells, notes, now, first = list[Cell](), [declared.note] if declared.note else [], set[str](), set[str]()
    missing = not_run(declared, found)
    for suite in dict.fromkeys(cell.record.suite for cell in (*found, *missing)):
        members = [cell for cell in (*found, *missing) if cell.record.suite == suite]
        oldest_first = sorted(range(len(members)), key=lambda index: members[index].record.attempt.started)
        parts = experiments([_declaration(members[index]) for index in oldest_first], _declared(declared, suite))
        parts = [replace(each, members=sorted(oldest_first[index] for index in each.members)) for each in parts]
        names = [suite if each.current or len(parts) == 1 else f"{suite} [{each.name}]" for each in parts]
        variants = {cell.record.variant for cell in members}
        shown = [each for each in parts if each.current or len(variants) == 1 or _variants(each, members) > 1] or parts
        if len(parts) > 1:
            notes.append(f"Several experiments were run as {suite}; they differ in {'; '.join(differences(parts))}.")
        for each, name in zip(parts, names, strict=True):
            its = [members[index] for index in each.members if each.current or members[index].attempts]
            if each in shown:
                cells += [replace(cell, experiment=name) for cell in its]
                now |= {name} if each.current else set()
                first |= {name} if each is shown[0] else set()
            else:
                notes.append(f"Left out: {len(its)} cells of {name}, which has one variant alone.")
    return Parted(tuple(cells), tuple(notes), frozenset(now), frozenset(first))


def _declaration(cell: Cell) -> Declaration:
    record = cell.record
    return Declaration(record.variant, record.point, record.declared, cell.own, record.data)


def _declared(declared: DeclaredSuite, suite: str) -> list[Declaration]:
    return [
        Declaration(cell.variant, cell.point, cell.inputs.model_dump(mode="json"), declared.own_settings(cell.variant))
        for cell in declared.cells
        if cell.suite == suite
    ]


def _variants(experiment: Experiment, members: Sequence[Cell]) -> int:
    return len({members[index].record.variant for index in experiment.members if members[index].attempts})
