"""``vdmbench report``: tables, figures and one page from records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdmbench.cli.options import AsJson

if TYPE_CHECKING:
    from vdmbench.suite import Suite


def report(
    results: Annotated[list[Path], typer.Argument(help="Results folders.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default reports/<name of the first results folder>.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Variant that others are compared with; by default the suite's match.reference.")
    ] = None,
    figure: Annotated[str | None, typer.Option(help="Draw this one figure and nothing else, such as frontier.")] = None,
    style: Annotated[str, typer.Option(help="Look of the figures: default, neurips, icml, cvpr, talk.")] = "default",
    mp4: Annotated[bool, typer.Option("--mp4", help="Write the walls of samples as mp4 too, not as gif alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write tables (md, csv, LaTeX), figures (PDF, SVG, PNG), verdicts on the suite's claims, and one self-contained page.

    Examples: vdmbench report results/tiny --out reports/tiny | vdmbench report results/tiny --figure frontier --style neurips
    """
    from vdmbench.report.results import read_results
    from vdmbench.report.study import Study
    from vdmbench.report.write import write_figure, write_report

    folder = out or Path("reports") / results[0].resolve().name
    suite = _kept_suite(results)
    variants = list(suite.variants) if suite else None
    if reference is None and suite and suite.match:
        reference = suite.match.reference
    if figure is not None:
        written = write_figure(Study.of(read_results(results), variants, reference), figure, folder, style)
        shown = written
    else:
        written = write_report(
            results,
            folder,
            reference=reference,
            style=style,
            title=suite.title if suite else None,
            variants=variants,
            claims=suite.claims if suite else (),
            mp4=mp4,
        )
        shown = [path for path in written if path.suffix == ".md"] + written[-1:]
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": [str(path) for path in written]}, indent=1))
    for path in () if as_json else shown:
        typer.echo(path)
    typer.echo(f"{len(written)} files in {folder}", err=True)


def _kept_suite(results: list[Path]) -> Suite | None:
    """The suite as run, where all the folders are of one."""
    from pydantic import ValidationError

    from vdmbench.records import ResultsFolder
    from vdmbench.suite import Suite

    kept = {ResultsFolder(path).suite() for path in results}
    if len(kept) != 1 or None in kept:
        return None
    try:
        return Suite.model_validate_json(kept.pop() or "")
    except ValidationError as error:
        raise ValueError(
            f"{results[0] / 'suite.json'}: not a suite of this version ({error.errors()[0]['msg']}); "
            "delete it to report without its claims and order"
        ) from None
