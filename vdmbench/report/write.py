"""Write a whole report: tables in every format, figures, the data behind them, and the page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vdmbench.records import Record, write_atomically
from vdmbench.records.published import Publisher
from vdmbench.report.aggregation import aggregate
from vdmbench.report.behaviour import behaviour_table
from vdmbench.report.copies import copies_table
from vdmbench.report.declaration import DeclaredSuite, declared_suite
from vdmbench.report.encodings import encodings_table
from vdmbench.report.findings import frontier_table, improvement_table, levels_table, scaling_table
from vdmbench.report.items import Items
from vdmbench.report.render import csv_frame, csv_text, html_table, latex, latex_numbers, markdown, table_frame
from vdmbench.report.results import Cell, read_results
from vdmbench.report.streaming import streaming_table
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import Table, column_scales, comparison_table, failures_table, main_table
from vdmbench.report.tuning import begun_table, tuning_table

if TYPE_CHECKING:
    import pandas as pd

    from vdmbench.report.figures.walls import Wall
    from vdmbench.suite.claims import Claim


@dataclass(frozen=True)
class Written:
    """What a report left."""

    files: list[Path]
    """The page (``index.html``) last."""
    missing: dict[str, str]
    """What could not be made, to the reason."""
    notes: list[str]
    """Records that do not count, and records without a digest."""


_FORMATS = {"md": markdown, "csv": csv_text, "tex": latex, "html": html_table}


def report_tables(study: Study, claims: Sequence[Claim] = (), items: Items | None = None) -> list[Table]:
    """The report's tables that have rows, in reading order; without a reference nothing is compared.

    A table that cannot be made is left out, with the reason in ``items``.
    """
    items = items or Items()
    makers: dict[str, Callable[[], Table]] = {}
    if claims:
        from vdmbench.report.claims import judge_claims
        from vdmbench.report.claims_table import claims_table

        makers["claims"] = lambda: claims_table(judge_claims(study, claims))
    makers["main"] = partial(main_table, study)
    if study.reference is not None:
        makers["comparison"] = partial(comparison_table, study)
    derived = (frontier_table, levels_table, improvement_table, scaling_table)
    described = (tuning_table, begun_table, encodings_table, streaming_table, behaviour_table, copies_table, failures_table)
    for make in (*derived, *described):
        makers[make.__name__.removesuffix("_table")] = partial(make, study)
    made = [items.make(f"table {name}", make) for name, make in makers.items()]
    tables = [table for table in made if table is not None]
    unsaid = [f"{table.title}: no table, for {table.wanting}." for table in tables if table.wanting and not table.rows]
    return [replace(table, notes=[*table.notes, *unsaid]) if table.name == "main" else table for table in tables if table.rows]


def write_tables(study: Study, tables: Sequence[Table], out: Path, items: Items | None = None) -> list[Path]:
    """``tables/<name>.{md,csv,tex,html,parquet}``, ``numbers.tex``, ``data/cells.{csv,parquet}`` and ``data/summary.csv``.

    A file that cannot be made is left out, with the reason in ``items``; one that cannot be written is an error.
    """
    items = items or Items()
    contents: dict[str, Callable[[], bytes]] = {}
    for table in tables:
        for ending, form in _FORMATS.items():
            contents[f"tables/{table.name}.{ending}"] = lambda table=table, form=form: form(table).encode()  # type: ignore[misc]
    summary = items.make("summary", lambda: aggregate(study))
    if summary is not None:
        contents["tables/numbers.tex"] = lambda: _numbers(study, summary, items).encode()
    contents["data/cells.csv"] = lambda: csv_frame(study.frame)
    if summary is not None:
        contents["data/summary.csv"] = lambda: csv_frame(summary)
    for table in tables:
        contents[f"tables/{table.name}.parquet"] = lambda table=table: table_frame(table).to_parquet(index=False)  # type: ignore[misc]
    contents["data/cells.parquet"] = lambda: study.frame.to_parquet(index=False)
    for folder in ("tables", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    written = []
    for name, make in contents.items():
        content = items.make(name, make)
        if content is not None:
            write_atomically(out / name, content)
            written.append(out / name)
    return written


def _numbers(study: Study, summary: pd.DataFrame, items: Items) -> str:
    scales = {name: (scale.factor, scale.unit) for name, scale in column_scales(study, study.quantities).items()}
    return latex_numbers(summary, study.coordinates, scales, items)


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
    claims: Sequence[Claim] | None = None,
    declared: DeclaredSuite | None = None,
    mp4: bool = False,
) -> Written:
    """Everything, under ``out``.

    What cannot be made of these records (a table, a figure, a claim, a wall of samples) is left out; the page says why.

    :param results: results folders, or folders of them.
    :param reference: variant that all others are compared with; null takes that of the suite's match, if it has one.
    :param variants: declared order; null takes the suite's, else the order in which cells were first started.
    :param claims: hypotheses to judge; null takes the suite's.
    :param declared: the suite that cells are counted against; null takes the one that the results folders keep.
    :param mp4: write the walls of samples as mp4 too, which needs ``av``.
    :raises ResultsError: a path without results, or a damaged record.
    :raises NotComparable: mixed protocols or counters, or an unknown reference.
    :raises OSError: a file cannot be written.
    """
    from vdmbench.report.page import build_page

    declared = declared_suite(results) if declared is None else declared
    notes: list[str] = []
    study, publisher = published_study(read_results(results, notes), declared, results, reference, variants)
    items = Items(publisher.text)
    if claims is None:
        claims = declared.suite.claims if declared.suite else ()
    claims = [publisher.tree(claim) for claim in claims]  # they name points as the study does
    title = title or (declared.suite.title if declared.suite else None)
    tables = report_tables(study, claims, items)
    written = write_tables(study, tables, out, items)
    downloads = {path.name: path.read_text() for path in written if path.parent.name == "data" and path.suffix == ".csv"}
    files, drawn, undrawn = _write_figures(study, out / "figures", style, items)
    walls = _write_walls(study, out / "samples", items, mp4=mp4)
    page = build_page(
        study,
        title=publisher.text(title or ", ".join(study.suites)),
        tables=tables,
        figures=drawn,
        undrawn=undrawn,
        walls=walls,
        downloads=downloads,
        items=items,
        notes=[publisher.text(note) for note in notes],
    )
    write_atomically(out / "index.html", page.encode())
    files = [*written, *files, *(path for wall in walls for path in wall.files), out / "index.html"]
    return Written(files, dict(items.missing), notes)


def study_of(
    cells: Sequence[Record | Cell], declared: DeclaredSuite, reference: str | None = None, variants: Sequence[str] | None = None
) -> Study:
    """A study in the order of the declared suite, compared with its reference unless another is named."""
    suite = declared.suite
    if variants is None and suite is not None:
        variants = list(suite.variants)
    if reference is None and suite is not None and suite.match is not None:
        reference = suite.match.reference
    return Study.of(cells, variants, reference, declared)


def published_study(
    cells: Sequence[Record | Cell],
    declared: DeclaredSuite,
    results: Sequence[Path],
    reference: str | None = None,
    variants: Sequence[str] | None = None,
) -> tuple[Study, Publisher]:
    """:func:`study_of` these cells, and what takes names and places out of it and of all else that a page says.

    Cells are grouped by what they declare, and only then told without it.
    """
    if variants is None and declared.suite is not None:
        variants = list(declared.suite.variants)
    study = study_of(cells, declared, reference, variants)
    publisher = Publisher([cell.record for cell in (*study.cells, *study.superseded)], results)
    return study.published(publisher, variants), publisher


def _write_figures(
    study: Study, out: Path, style: str, items: Items
) -> tuple[list[Path], dict[str, tuple[str, str]], dict[str, str]]:
    """Files; name to (SVG for the page, caption); name to why these records hold nothing to draw."""
    from vdmbench.report.figures import FIGURES, NothingToDraw, draw, find_style, rendered
    from vdmbench.report.page import inline_svg

    out.mkdir(exist_ok=True)
    look = find_style(style)
    written: list[Path] = []
    drawn: dict[str, tuple[str, str]] = {}
    undrawn: dict[str, str] = {}

    def make(name: str, caption: str) -> tuple[dict[str, bytes], str] | None:
        try:
            figure = draw(study, name, look)
        except NothingToDraw as nothing:
            undrawn[name] = items.tell(str(nothing))
            return None
        pictures = rendered(figure, look)
        return pictures, inline_svg(pictures["svg"].decode(), figure.tips, name=name, title=caption)

    for name, (_, caption) in FIGURES.items():
        made = items.make(f"figure {name}", partial(make, name, caption))
        if made is None:
            continue
        for ending, picture in made[0].items():
            written.append(out / f"{name}.{ending}")
            write_atomically(written[-1], picture)
        if name != "samples":  # the page plays them instead
            drawn[name] = made[1], caption
    return written, drawn, undrawn


def _write_walls(study: Study, out: Path, items: Items, *, mp4: bool) -> list[Wall]:
    """For every sweep point with samples: the wall that the page plays, and its files, which carry their names."""
    from vdmbench.report.figures.samples import clips_of
    from vdmbench.report.figures.walls import Wall, wall_frames, wall_gif, wall_mp4

    forms = {"gif": wall_gif, "mp4": wall_mp4} if mp4 else {"gif": wall_gif}

    def make(group: Group) -> Wall | None:
        clips = clips_of(study, group)
        return None if clips is None else Wall(clips, wall_gif(wall_frames(clips)), study.title(group))

    walls = []
    for group in study.groups:
        name = f"samples {study.title(group)}".rstrip()
        wall = items.make(name, partial(make, group))
        if wall is None:
            continue
        files = []
        for ending, form in forms.items():
            movie = items.make(f"{name} as {ending}", lambda wall=wall, form=form: form(wall_frames(wall.clips, named=True)))  # type: ignore[misc]
            if movie is not None:
                out.mkdir(exist_ok=True)
                files.append(out / f"{_file_name(study, group)}.{ending}")
                write_atomically(files[-1], movie)
        walls.append(replace(wall, files=tuple(files)))
    return walls


def _file_name(study: Study, group: Group) -> str:
    """Suite, cohort and coordinates: unique in a report, and safe on any file system."""
    parts = [group.suite, group.cohort or "", *(f"{name}={study.coordinate_text(name, value)}" for name, value in group.point)]
    text = "_".join(filter(None, parts))
    safe = "".join(character if character.isalnum() or character in "=._-" else "-" for character in text)
    if safe == text and len(safe.encode()) <= _LONGEST_FILE_NAME:
        return safe
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # what was replaced or cut may have been all that told two apart
    return f"{safe.encode()[:_LONGEST_FILE_NAME].decode(errors='ignore')}-{digest}"


_LONGEST_FILE_NAME = 200
"""Bytes, an ending and more to come."""
