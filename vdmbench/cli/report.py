"""``vdmbench report``: tables, figures and one page from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import say, say_json, say_notes


def report(
    results: Annotated[list[Path], typer.Argument(help="Results folders.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default reports/<name of the first results folder>.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Variant to compare the others with; by default the suite's match.reference.")
    ] = None,
    figure: Annotated[str | None, typer.Option(help="Draw this one figure and nothing else, such as frontier.")] = None,
    style: Annotated[str, typer.Option(help="Style of the figures: default, neurips, icml, cvpr or talk.")] = "default",
    mp4: Annotated[bool, typer.Option("--mp4", help="Also write sample grids as mp4, beside the gif.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write tables (md, csv, LaTeX), figures (PDF, SVG, PNG), verdicts on the suite's claims, and one self-contained page.

    Examples: vdmbench report results/tiny --out reports/tiny | vdmbench report results/tiny --figure frontier --style neurips
    """
    from vdmbench.report.declaration import declared_suite
    from vdmbench.report.results import read_results
    from vdmbench.report.write import published_study, write_figure, write_report

    folder = out or Path("reports") / results[0].resolve().name
    declared = declared_suite(results)
    missing: dict[str, str] = {}
    notes: list[str] = []
    if figure is not None:
        study, _ = published_study(read_results(results, notes), declared, results, reference)
        files = shown = write_figure(study, figure, folder, style)
    else:
        made = write_report(results, folder, reference=reference, style=style, declared=declared, mp4=mp4)
        files, missing, notes = made.files, made.missing, made.notes
        shown = [path for path in files if path.suffix == ".md"] + files[-1:]
    if as_json:
        told = {"folder": str(folder), "files": [str(path) for path in files], "missing": missing, "notes": notes}
        say_json(told)
    for path in () if as_json else shown:
        say(path)
    say_notes(notes)
    for name, why in missing.items():
        say(f"not in the report: {name}: {why}", err=True)
    say(f"{len(files)} files in {folder}", err=True)
