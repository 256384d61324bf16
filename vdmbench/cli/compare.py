"""``vdmbench compare``: the gate between a baseline and new results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson


def compare(
    baseline: Annotated[Path, typer.Argument(help="Results folder of the baseline.")],
    new: Annotated[Path, typer.Argument(help="Results folder to judge.")],
    as_json: AsJson = False,
) -> None:
    """Judge new results against a baseline, cell by cell, by percent and absolute thresholds.

    Exit code: 0 nothing regressed, 1 something did, 4 undecided (no baseline, no data, other protocol).

    Example: vdmbench compare results/baselines/tiny results/tiny
    """
    from vdmbench.report.gate import compare_folders

    comparison = compare_folders(baseline, new)
    typer.echo(comparison.to_json() if as_json else comparison.to_markdown())
    raise typer.Exit(comparison.exit_code)
