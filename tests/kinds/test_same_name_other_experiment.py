"""Kind: **the same name taken for the same experiment**: cells are grouped or counted by suite, variant, point and seed.

A suite that is changed in one number keeps its name, so that cells of before and after made "paired" rows. Found: the study
(rows, pairs, bests, panels: all by its groups), the page's counts, `status` (12 cells of a suite of 6), the gate's scatter over
seeds, `merge`, `show` (two cells of one label), figures of a plan. The study tells experiments apart by all that is declared
(`records/experiments.py`) before anything is grouped; the others ask the same module or compare the whole declaration. Left
are places that see the cells of one suite alone, as it is declared now.
"""

from __future__ import annotations

import ast

from tests.kinds.syntax import PACKAGE, modules

KEYS = {"variant", "label"}
"""What a cell, a record or a row of the frame is called by."""
KNOWN = {
    "runner/beginning.py:_read_by": "names in a refusal; who is meant is said by the declaration of data",
    "cli/card.py:_lines": "of one record",
    "cli/memory_tables.py:not_simulated": "of one plan",
    "report/claims.py:_judge": "within a group of the study, which is of one experiment",
    "report/claims.py:_side": "within groups of one claim, which are of one experiment",
    "report/collapses.py:collapsed": "within a group of the study",
    "report/frame.py:_ordered.key": "an order, not a key",
    "report/planned_memory.py:scaling_figure": "colours of a plan's curves",
    "runner/schedule.py:Estimates.learn": "of one plan: seconds a FLOP, an estimate",
    "runner/schedule.py:Estimates.seconds": "of one plan: seconds a FLOP, an estimate",
    "runner/schedule.py:trains_as": "of one plan, with all that its cells differ in",
    "runner/selection.py:meant": "of one suite, as it is declared now",
    "cli/cells.py:_answers_to": "a name for people: several cells may answer, and all are listed with what tells them apart",
    "cli/cells.py:_unlike": "says what two cells of one label declare otherwise",
    "cli/cells.py:find_cell": "a name for people, as above",
    "cli/tables.py:by_point": "of one plan, as the suite declares it now",
    "records/experiments.py:_fields_of": "the fields of a variant's own: what tells experiments apart",
    "records/experiments.py:_must_agree": "the fields of a variant's own, as _fields_of",
    "report/experiments.py:_variants": "how many variants an experiment has",
    "report/experiments.py:told_apart": "the same",
    "report/frame.py:_ordered": "an order, not a key",
    "report/gate.py:_excuse_scatter": "with all else that is declared",
    "report/gate.py:_otherwise": "says what the cell of that name declares otherwise",
    "report/gate.py:_other_numbers": "cells of one label with other versions of the numbers: counted, and never joined",
    "report/gate.py:compare_cells": "what `_other_numbers` counted is not listed twice",
    "report/page/summary.py:warnings_of": "names of variants that share a warning, for a sentence",
    "report/planned_memory.py:curves": "of one plan",
    "report/planned_memory.py:holders_figure": "of one plan",
    "report/results.py:read_results": "the variant's own settings, from the folder that holds the record",
    "report/study.py:Study._of_cells": "within one experiment: its suite's name is the experiment's",
    "report/study.py:Study.labels": "names alone",
    "report/tuning.py:_origins": "names of what the cells of one row began with, for a sentence",
    "records/merging.py:_Declared.add": "the variant's own settings, to tell experiments apart",
    "runner/common_weights.py:little_in_common": "names of variants, for a line",
    "report/power.py:_deviations": "within groups of the study, which are of one experiment",
    "runner/planning.py:_alike": "a shortcut: what is declared is compared too",
    "runner/selection.py:_closest": "for a message",
    "runner/survey.py:_otherwise": "says what a cell declares otherwise",
    "runner/survey.py:_survey": "labels of cells by identity",
}
"""Functions that use such a name as a key, in a comparison or in a collection; with the reason why it does no harm."""


def _names(node: ast.AST) -> bool:
    """Whether an expression reads ``x.variant``, ``x.label`` or ``frame["label"]`` anywhere in it."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and each.attr in KEYS:
            return True
        if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant) and each.slice.value in KEYS:
            return True
    return False


def _keyed(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and any(map(_names, (node.left, *node.comparators))):
            return True
        if isinstance(node, ast.Tuple | ast.Set | ast.SetComp) and _names(node):
            return True
        if isinstance(node, ast.DictComp) and _names(node.key):
            return True
        if isinstance(node, ast.Dict) and any(key is not None and _names(key) for key in node.keys):
            return True
        if isinstance(node, ast.Subscript) and _names(node.slice):
            return True
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("setdefault", "get", "fromkeys", "add", "index")
            and any(map(_names, node.args))
        ):
            return True
    return False


def _sites() -> set[str]:
    found = set()
    for path in modules("report", "records", "runner", "cli"):
        module = path.relative_to(PACKAGE).as_posix()

        def visit(node: ast.AST, names: tuple[str, ...], module: str = module) -> None:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = (*names, node.name)
                if isinstance(node, ast.FunctionDef) and _keyed(node):
                    found.add(f"{module}:{'.'.join(names)}")
            for child in ast.iter_child_nodes(node):
                visit(child, names)

        visit(ast.parse(path.read_text()), ())
    return found


def test_every_place_that_takes_a_name_for_a_cell_is_known() -> None:
    found = _sites()
    assert found - set(KNOWN) == set(), "a new place groups, pairs or compares cells by name"
    assert set(KNOWN) - found == set(), "a place is gone: take it off the list"


def test_groups_of_a_study_are_named_after_experiments_and_not_suites() -> None:
    """`record.suite` is read where a record is shown or read; all grouping goes through `Cell.suite`, the experiment's name."""
    found = set()
    for path in modules("report"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "suite" and ast.unparse(node.value).endswith("record"):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"report/experiments.py", "report/gate.py", "report/results.py"}
