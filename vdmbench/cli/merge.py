"""``vdmbench merge``: results of several machines in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import say, say_json, say_notes


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="RESULTS", help="Results folders to merge.", file_okay=False)],
    into: Annotated[Path, typer.Option("--into", help="Results folder to merge into; may already exist.", file_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Copy every finished attempt that is not there yet, verified byte for byte. Doing it again changes nothing.

    Attempts that are not finished, and checkpoints, stay where they are. Cells of different hardware stay apart in reports.

    Example: vdmbench merge machine-a/tiny machine-b/tiny --into results/tiny
    """
    from vdmbench.records import ResultsFolder, merge_results

    merged = merge_results([ResultsFolder(path) for path in sources], ResultsFolder(into))
    if as_json:
        told = {
            "into": str(into),
            "copied": [str(into / name) for name in merged.copied],
            "present": merged.present,
            "unfinished": [str(path) for path in merged.unfinished],
            "unusable": merged.unusable,
            "declared_otherwise": merged.otherwise,
        }
        say_json(told)
    for name in () if as_json else merged.copied:
        say(into / name)
    for line in merged.otherwise:
        say(f"note: cells of one name are declared otherwise ({line}); reports tell them apart", err=True)
    say_notes(merged.unusable)
    for path in merged.unfinished:
        say(f"not finished, left where it is: {path}", err=True)
    say(
        f"{len(merged.copied)} attempts copied, {merged.present} there already, {len(merged.unfinished)} not finished", err=True
    )
