"""``vdmbench status``: how far a suite has come, read from its files while it runs or after."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say, say_json, say_notes, simple_table, styled

if TYPE_CHECKING:
    from vdmbench.runner.survey import CellState, Survey


def status(
    results: Annotated[Path, typer.Argument(help="Results folder of a suite, such as results/tiny.", file_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Show how many cells are done, failed, running and left, and where each running one is. Reads files only.

    Time left follows from the rate seen so far: steps of the running phase, and the mean of the cells that ended ok.

    Example: vdmbench status results/tiny
    """
    from vdmbench.records import ResultsFolder
    from vdmbench.runner.survey import survey

    found, now = survey(ResultsFolder(results)), time.time()
    if as_json:
        say_json(_as_json(found, now))
        return
    counts = ", ".join(f"{found.count(state)} {state}" for state in ("done", "failed", "running", "left"))
    tuning = sum(cell.for_tuning for cell in found.cells)
    of_them = f" ({tuning} for tuning)" if tuning else ""
    say(f"{found.suite}: {len(found.cells)} cells{of_them}, {counts}; time left {duration(found.seconds_left(now))}")
    if left := [cell.label for cell in found.cells if cell.state == "left"]:
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        say(f"left: {', '.join(left[:MOST_NAMED])}{more}")
    if found.note:
        say(f"note: {found.note}", err=True)
    say_notes(found.damaged)
    for unlike, labels in found.others.items():
        say(
            f"note: {len(labels)} cells here are not of the suite as it is declared now ({unlike}); they are not counted",
            err=True,
        )
    if running := found.running():
        table = simple_table("Running", ["cell", "phase", " step", " loss", " last event", " left"])
        for cell in running:
            table.add_row(*_row(cell, found.typical_seconds, now))
        print_table(table)
    if found.blocked:
        table = simple_table("Blocked: left until what they wait for has ended well", ["cell", "cause"])
        for cell in found.blocked:
            table.add_row(cell.label, styled(cell.record.message or "–") if cell.record is not None else "–")
        print_table(table)
    if failed := [cell for cell in found.cells if cell.state == "failed" and cell.record is not None]:
        table = simple_table("Failed", ["cell", "status", "phase", "cause"])
        for cell in failed:
            if cell.record is not None:
                table.add_row(cell.label, cell.record.status, cell.record.phase or "–", cell.record.message or "–")
        print_table(table)


MOST_NAMED = 12
"""Cells that are left, by name."""


def _row(cell: CellState, typical: float | None, now: float) -> list[str]:
    from vdmbench.records import Progress

    progress = cell.progress or Progress()
    age = progress.age(now)
    return [
        cell.label,
        progress.phase or "starting",
        "–" if progress.step is None else f"{progress.step}/{progress.steps}",
        "–" if progress.loss is None else f"{progress.loss:.4f}",
        "–" if age is None else f"{duration(age)} ago",
        duration(cell.seconds_left(typical, now)),
    ]


def _as_json(found: Survey, now: float) -> dict[str, Any]:
    states = ("done", "failed", "running", "left")
    return {
        "suite": found.suite,
        "counts": {state: found.count(state) for state in states},  # type: ignore[arg-type]
        "seconds_left": found.seconds_left(now),
        "note": found.note,
        "damaged": found.damaged,
        "not_declared_now": found.others,
        "cells": [_cell_as_json(cell, found.typical_seconds, now) for cell in found.cells],
    }


def _cell_as_json(cell: CellState, typical: float | None, now: float) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "identity": cell.identity,
        "label": cell.label,
        "state": cell.state,
        "status": cell.record and cell.record.status,
        "for_tuning": cell.for_tuning,
        **({"blocked": cell.record.message} if cell.record is not None and cell.record.status == "skipped" else {}),
    }
    if (progress := cell.progress) is not None:
        shown |= {
            "phase": progress.phase,
            "step": progress.step,
            "steps": progress.steps,
            "loss": progress.loss if progress.loss is None or abs(progress.loss) < float("inf") else str(progress.loss),
            "last_event_seconds": progress.age(now),
            "seconds_left": cell.seconds_left(typical, now),
        }
    return shown


def duration(seconds: float | None) -> str:
    """Whole seconds as h:mm:ss; a dash where unknown."""
    return "–" if seconds is None else str(timedelta(seconds=round(seconds)))
