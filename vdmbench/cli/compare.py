"""``vdmbench compare``: the gate between a baseline and new results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import say, say_json

THRESHOLDS = Path("vdmbench.toml")


def compare(
    baseline: Annotated[str, typer.Argument(help="Results folder of the baseline, or REVISION:path for one in git.")],
    new: Annotated[Path, typer.Argument(help="Results folder to compare with the baseline.")],
    thresholds: Annotated[
        Path | None,
        typer.Option(help="File with a [gate] table, which overrides the suite's; by default vdmbench.toml, if it exists."),
    ] = None,
    portable: Annotated[bool, typer.Option("--portable", help="Compare only what does not depend on the machine.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Make the new results the baseline.")] = False,
    reason: Annotated[str, typer.Option(help="Why the baseline changes; required with --update.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare new results with a baseline, cell by cell, against percent and absolute thresholds.

    Exit code: 0 nothing regressed, 1 something did, 4 undecided (no baseline, no data, other protocol or hardware).

    Example: vdmbench compare results/baselines/tiny results/tiny --portable
    """
    from vdmbench.records.published import Publisher
    from vdmbench.report.baseline import baseline_of, update_baseline
    from vdmbench.report.gate import compare_folders
    from vdmbench.report.thresholds import load_thresholds

    if update:
        for path in update_baseline(new, Path(baseline), reason):
            say(path)
        return
    file = thresholds or (THRESHOLDS if THRESHOLDS.exists() else None)
    with baseline_of(baseline) as folder:
        comparison = compare_folders(folder, new, load_thresholds(file, results=new), portable=portable)
    publisher = Publisher(results=[new])  # of both, the tables are for whoever reads of the change
    if as_json:
        say_json(publisher.tree(json.loads(comparison.to_json())))
    else:
        say(publisher.text(comparison.to_markdown()))
    raise typer.Exit(comparison.exit_code)
