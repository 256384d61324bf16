"""``vdmbench plan``: cells with solved widths and their cost, before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from vdmbench.cli.options import AllowCode, AsJson, Overrides, SuiteFile, load_cells

if TYPE_CHECKING:
    from vdmbench.runner.planning import Plan
    from vdmbench.suite import SourceLines, Suite


def plan(suite: SuiteFile, overrides: Overrides = None, allow_code: AllowCode = False, as_json: AsJson = False) -> None:
    """Show every cell with its solved widths, parameters and cost. Needs no GPU and no data.

    Examples: vdmbench plan suites/tiny.yaml | vdmbench plan oshima2024_minerl data.frames=64 --json
    """
    from vdmbench.cli.tables import plan_table, print_table
    from vdmbench.runner.planning import plan as solve

    declared, cells, lines = load_cells(suite, overrides, allow_code=allow_code)
    solved = solve(cells)
    refuse_unreachable(solved, declared, lines)
    if as_json:
        typer.echo(json.dumps({"suite": declared.name, "cells": [planned.as_json() for planned in solved.cells]}, indent=1))
    else:
        print_table(plan_table(solved.cells, declared.name))


def refuse_unreachable(solved: Plan, declared: Suite, lines: SourceLines) -> None:
    """A target that a variant cannot reach is an error, unless the suite says that it is to be recorded."""
    from vdmbench.suite import SuiteError

    if declared.match is not None and declared.match.unreachable == "error" and solved.infeasible:
        raise SuiteError(
            list(
                dict.fromkeys(
                    lines.problem(("match",), f"variant {planned.cell.variant}: {planned.infeasible}")
                    for planned in solved.infeasible
                )
            )
        )
