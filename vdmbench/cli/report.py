"""``vdmbench report``: tables, figures and one page from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[list[Path], typer.Argument(help="Results folders.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default reports/<name of the results folder>.")] = None,
) -> None:
    """Write tables (md, csv, LaTeX), figures (PDF, SVG, PNG) and one self-contained HTML page.

    Example: vdmbench report results/tiny --out reports/tiny
    """
    from vdmbench.report import write_report

    folder = out or Path("reports") / results[0].resolve().name
    written = write_report(results, folder)
    for path in written:
        if path.suffix in (".md", ".html"):
            typer.echo(path)
    typer.echo(f"{len(written)} files in {folder}", err=True)
