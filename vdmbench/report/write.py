"""Write a whole report: tables in every format, figures, the data behind them, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vdmbench.records import write_atomically
from vdmbench.report.aggregation import aggregate
from vdmbench.report.behaviour import behaviour_table
from vdmbench.report.encodings import encodings_table
from vdmbench.report.findings import frontier_table, improvement_table, levels_table, scaling_table
from vdmbench.report.render import csv_text, html_table, latex, latex_numbers, markdown, table_frame
from vdmbench.report.results import read_results
from vdmbench.report.streaming import streaming_table
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import Table, column_scales, comparison_table, failures_table, main_table

if TYPE_CHECKING:
    from vdmbench.report.figures.walls import Wall
    from vdmbench.suite.claims import Claim

_FORMATS = {"md": markdown, "csv": csv_text, "tex": latex, "html": html_table}


def report_tables(study: Study, claims: Sequence[Claim] = ()) -> list[Table]:
    """The report's tables that have rows, in reading order; without a reference nothing is compared."""
    tables = []
    if claims:
        from vdmbench.report.claims import claims_table, judge_claims

        tables.append(claims_table(judge_claims(study, claims)))
    tables.append(main_table(study))
    if study.reference is not None:
        tables.append(comparison_table(study))
    tables += [frontier_table(study), levels_table(study), improvement_table(study), scaling_table(study)]
    tables += [encodings_table(study), streaming_table(study), behaviour_table(study), failures_table(study)]
    return [table for table in tables if table.rows]


def write_tables(study: Study, tables: Sequence[Table], out: Path) -> list[Path]:
    """``tables/<name>.{md,csv,tex,html,parquet}``, ``numbers.tex``, ``data/cells.{csv,parquet}`` and ``data/summary.csv``."""
    summary = aggregate(study)
    scales = {name: (scale.factor, scale.unit) for name, scale in column_scales(study, study.quantities).items()}
    texts = {f"tables/{table.name}.{ending}": form(table) for table in tables for ending, form in _FORMATS.items()}
    texts["tables/numbers.tex"] = latex_numbers(summary, study.coordinates, scales)
    texts["data/cells.csv"] = study.frame.to_csv(index=False, lineterminator="\n")
    texts["data/summary.csv"] = summary.to_csv(index=False, lineterminator="\n")
    for folder in ("tables", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(out / name, text.encode())
    frames = {out / "tables" / f"{table.name}.parquet": table_frame(table) for table in tables}
    frames[out / "data" / "cells.parquet"] = study.frame
    for path, frame in frames.items():
        frame.to_parquet(path, index=False)
    return [*(out / name for name in texts), *frames]


def write_figure(study: Study, name: str, out: Path, style: str = "default") -> list[Path]:
    """One figure as ``out/<name>.{pdf,svg,png}``.

    Raises UnknownFigure or UnknownStyle with those there are, or NothingToDraw with what is wanting.
    """
    from vdmbench.report.figures import draw, find_style, save

    out.mkdir(parents=True, exist_ok=True)
    look = find_style(style)
    return save(draw(study, name, look), out / name, look)


def write_report(
    results: Sequence[Path],
    out: Path,
    *,
    reference: str | None = None,
    style: str = "default",
    title: str | None = None,
    variants: Sequence[str] | None = None,
    claims: Sequence[Claim] = (),
    mp4: bool = False,
) -> list[Path]:
    """Everything, under ``out``; returns the files written, the page (``index.html``) last.

    :param results: results folders, or folders of them.
    :param reference: variant that all others are compared with; null compares none.
    :param variants: declared order; null takes the order in which cells were first started.
    :param claims: hypotheses to judge.
    :param mp4: write the walls of samples as mp4 too, which needs ``av``.
    :raises ResultsError: a path without results, or a damaged record.
    :raises NotComparable: mixed protocols or counters, or an unknown reference.
    :raises InvalidClaim: a claim that names what these records have not.
    """
    from vdmbench.report.page import build_page

    study = Study.of(read_results(results), variants, reference)
    tables = report_tables(study, claims)
    written = write_tables(study, tables, out)
    downloads = {path.name: path.read_text() for path in written if path.parent.name == "data" and path.suffix == ".csv"}
    files, drawn, undrawn = _write_figures(study, out / "figures", style)
    walls = _write_walls(study, out / "samples", mp4=mp4)
    page = build_page(
        study,
        title=title or ", ".join(study.suites),
        tables=tables,
        figures=drawn,
        undrawn=undrawn,
        walls=walls,
        downloads=downloads,
    )
    write_atomically(out / "index.html", page.encode())
    return [*written, *files, *(path for wall in walls for path in wall.files), out / "index.html"]


def _write_figures(study: Study, out: Path, style: str) -> tuple[list[Path], dict[str, tuple[str, str]], dict[str, str]]:
    """Files; name to (SVG for the page, caption); name to why it was not drawn."""
    from vdmbench.report.figures import FIGURES, NothingToDraw, draw, find_style, save
    from vdmbench.report.page import inline_svg

    out.mkdir(exist_ok=True)
    look = find_style(style)
    written: list[Path] = []
    drawn: dict[str, tuple[str, str]] = {}
    undrawn: dict[str, str] = {}
    for name, (_, caption) in FIGURES.items():
        try:
            figure = draw(study, name, look)
        except NothingToDraw as reason:
            undrawn[name] = str(reason)
            continue
        files = save(figure, out / name, look)
        written += files
        if name != "samples":  # the page plays them instead
            markup = next(path for path in files if path.suffix == ".svg").read_text()
            drawn[name] = (inline_svg(markup, figure.tips, name=name, title=caption), caption)
    return written, drawn, undrawn


def _write_walls(study: Study, out: Path, *, mp4: bool) -> list[Wall]:
    """For every sweep point with samples: the wall that the page plays, and its files, which carry their names."""
    from vdmbench.report.figures.samples import all_clips
    from vdmbench.report.figures.walls import Wall, wall_frames, wall_gif, wall_mp4

    forms = {"gif": wall_gif, "mp4": wall_mp4} if mp4 else {"gif": wall_gif}
    walls = []
    for clips in all_clips(study):
        out.mkdir(exist_ok=True)
        named, files = wall_frames(clips, named=True), []
        for ending, form in forms.items():
            files.append(out / f"{_file_name(clips.group)}.{ending}")
            write_atomically(files[-1], form(named))
        walls.append(Wall(clips, wall_gif(wall_frames(clips)), tuple(files)))
    return walls


def _file_name(group: Group) -> str:
    """Suite, cohort and coordinates: unique in a report, and safe on any file system."""
    parts = [group.suite, group.cohort or "", *(f"{name}={value}" for name, value in group.point)]
    text = "_".join(filter(None, parts))
    return "".join(character if character.isalnum() or character in "=._-" else "-" for character in text)
