"""Write a whole report: tables in every format, figures, the data behind them, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vdmbench.records import write_atomically
from vdmbench.report.aggregation import aggregate, check_reference
from vdmbench.report.figures import FIGURES, NothingToDraw, draw, find_style, save
from vdmbench.report.figures.samples import all_clips, wall_gif
from vdmbench.report.figures.style import ReportFigure
from vdmbench.report.page import build_page, inline_svg
from vdmbench.report.render import csv_text, html_table, latex, latex_numbers, markdown
from vdmbench.report.results import read_results
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import Table, column_scales, comparison_table, failures_table, main_table

_FORMATS = {"md": markdown, "csv": csv_text, "tex": latex, "html": html_table}


def report_tables(study: Study, reference: str | None = None) -> list[Table]:
    """The report's tables, in reading order; without a reference nothing is compared."""
    check_reference(study, reference)
    tables = [main_table(study)]
    if reference is not None:
        tables.append(comparison_table(study, reference))
    return [*tables, failures_table(study)]


def write_tables(study: Study, out: Path, reference: str | None = None) -> list[Path]:
    """``tables/<name>.{md,csv,tex,html}``, ``tables/numbers.tex``, ``data/cells.{csv,parquet}`` and ``data/summary.csv``."""
    written = []
    for folder in ("tables", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)

    def put(path: Path, text: str) -> None:
        write_atomically(path, text.encode())
        written.append(path)

    for table in report_tables(study, reference):
        for ending, form in _FORMATS.items():
            put(out / "tables" / f"{table.name}.{ending}", form(table))
    summary = aggregate(study, reference)
    scales = {name: (scale.factor, scale.unit) for name, scale in column_scales(study, study.quantities).items()}
    put(out / "tables" / "numbers.tex", latex_numbers(summary, study.coordinates, scales))
    put(out / "data" / "cells.csv", study.frame.to_csv(index=False, lineterminator="\n"))
    put(out / "data" / "summary.csv", summary.to_csv(index=False, lineterminator="\n"))
    parquet = out / "data" / "cells.parquet"
    study.frame.to_parquet(parquet, index=False)
    return [*written, parquet]


def write_report(
    results: Sequence[Path],
    out: Path,
    *,
    reference: str | None = None,
    style: str = "default",
    title: str | None = None,
    variants: Sequence[str] | None = None,
) -> list[Path]:
    """Everything, under ``out``; returns the files written, the page (``index.html``) last.

    :param results: results folders, or folders of them.
    :param reference: variant that all others are compared with; null compares none.
    :param variants: declared order; null takes the order in which cells were first started.
    :raises ResultsError: a path without results, or a damaged record.
    :raises NotComparable: mixed protocols or counters, or an unknown reference.
    """
    study = Study.of(read_results(results), variants)
    look = find_style(style)
    written = write_tables(study, out, reference)
    drawn: dict[str, tuple[str, str]] = {}
    undrawn: dict[str, str] = {}
    (out / "figures").mkdir(exist_ok=True)
    for name, (_, caption) in FIGURES.items():
        try:
            figure = draw(study, name, look)
        except NothingToDraw as reason:
            undrawn[name] = str(reason)
            continue
        written += save(figure, out / "figures" / name, look)
        if isinstance(figure, ReportFigure):
            drawn[name] = (inline_svg(figure, look, name=name, title=caption), caption)
    walls = [(clips, wall_gif(clips)) for clips in all_clips(study)]
    for clips, gif in walls:
        (out / "samples").mkdir(exist_ok=True)
        path = out / "samples" / f"{_file_name(clips.group)}.gif"
        write_atomically(path, gif)
        written.append(path)
    page = build_page(
        study,
        title=title or ", ".join(study.suites),
        tables=report_tables(study, reference),
        figures=drawn,
        undrawn=undrawn,
        walls=walls,
        downloads={path.name: path.read_text() for path in written if path.parent.name == "data" and path.suffix == ".csv"},
    )
    write_atomically(out / "index.html", page.encode())
    return [*written, out / "index.html"]


def _file_name(group: Group) -> str:
    """Suite, cohort and coordinates: unique in a report, and safe on any file system."""
    text = "_".join(
        part for part in (group.suite, group.cohort or "", *(f"{name}={value}" for name, value in group.point)) if part
    )
    return "".join(character if character.isalnum() or character in "=._-" else "-" for character in text)
