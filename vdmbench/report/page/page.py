"""The report as one HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from urllib.parse import quote

from vdmbench.figure_style import PALETTE, looks
from vdmbench.report.figures.samples import without_samples
from vdmbench.report.figures.walls import Wall
from vdmbench.report.items import Items
from vdmbench.report.page.cards import cell_card
from vdmbench.report.page.inline_svg import escaped, themed
from vdmbench.report.page.packed import PACKED_FROM, PACKED_TEXT, packed, packed_bodies
from vdmbench.report.page.summary import summary_section
from vdmbench.report.render import html_table
from vdmbench.report.study import Study
from vdmbench.report.tables import Table


def _static(name: str) -> str:
    return files("vdmbench.report.page").joinpath("static", name).read_text(encoding="utf-8")


def build_page(
    study: Study,
    *,
    title: str,
    tables: Sequence[Table],
    figures: Mapping[str, tuple[str, str]],
    undrawn: Mapping[str, str],
    walls: Sequence[Wall],
    downloads: Mapping[str, str],
    items: Items | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The page's HTML.

    ``figures``: name to (SVG markup, caption). ``undrawn``: name to the reason. ``downloads``: file name to text. ``items``:
    what could not be made before; a section or card that cannot be made joins it, and the page lists them all.
    ``notes``: of records that do not count, a line each.
    """
    items = items or Items()
    makers: dict[str, Callable[[], str]] = {"summary": partial(summary_section, study)}
    makers |= {f"section of table {table.name}": partial(_table_section, table) for table in tables}
    makers |= {
        "section of figures": partial(_figures_section, study, figures, undrawn),
        "section of samples": partial(_samples_section, walls),
        "section of methods": partial(_method_section, study),
        "section of cells": partial(_cells_section, study, items),
        "section of downloads": partial(_downloads_section, downloads),
    }
    made = [items.make(name, make) or "" for name, make in makers.items()]
    sections = [made[0], _missing_section(items.missing), _notes_section(notes), *made[1:]]
    template = _static("page.html")
    palette = "".join(f"--variant-{index}: {colour}; " for index, colour in enumerate(PALETTE))
    parts = {
        "title": escaped(title),
        "style": _static("page.css").replace("/*palette*/", palette),
        "script": _static("page.js"),
        "body": "\n".join(filter(None, sections)),
    }
    for name, text in parts.items():
        head, _, tail = template.partition(f"<!--{name}-->")
        template = head + text + tail
    return template


def _table_section(table: Table) -> str:
    if not table.rows:
        return ""
    tools = f'<label class="filter">Filter <input type="search" data-filter="table-{escaped(table.name)}"></label>'
    return (
        f'<section id="{escaped(table.name)}"><h2>{escaped(table.title)}</h2>{tools}'
        f'<div class="scroll">{html_table(table)}</div></section>'
    )


def _figures_section(study: Study, figures: Mapping[str, tuple[str, str]], undrawn: Mapping[str, str]) -> str:
    buttons = "".join(
        f'<button type="button" data-toggle="{look.key}" aria-pressed="true"><i style="background:{themed(look.colour)}"></i>'
        f"{escaped(label)}</button>"
        for label, look in looks(study.labels).items()
    )
    drawn = "".join(
        f'<figure id="figure-{name}"{_wide(svg)}>{svg}<figcaption>{escaped(caption)}</figcaption></figure>'
        for name, (svg, caption) in figures.items()
    )
    missing = "".join(f"<li>{escaped(name)}: {escaped(reason)}</li>" for name, reason in undrawn.items())
    note = f'<p class="quiet">Not drawn:</p><ul class="notes">{missing}</ul>' if missing else ""
    return (
        f'<section id="figures"><h2>Figures</h2><div class="toggles" role="group" aria-label="Variants shown">{buttons}</div>'
        f'<div class="figures">{drawn}</div>{note}</section>'
    )


def _wide(svg: str) -> str:
    width = float(svg.partition('viewBox="0 0 ')[2].split()[0])
    return ' class="wide"' if width > 360 else ""


def _samples_section(walls: Sequence[Wall]) -> str:
    blocks = []
    for wall in walls:
        clips = wall.clips
        heads = "".join(f"<span>{escaped(label)}</span>" for label in clips.rows)
        picture = base64.b64encode(wall.playing).decode()
        where = wall.title or "all cells"
        told = [f"{where}, seed {clips.seed}: the same clips of every variant, from the same noise", without_samples(clips)]
        beside = ", ".join(f'<a href="samples/{quote(path.name)}">{path.suffix[1:]}</a>' for path in wall.files)
        blocks.append(
            f'<figure class="wall" style="--columns:{len(clips.rows)}"><div class="heads">{heads}</div>'
            f'<img src="data:image/gif;base64,{picture}" alt="sampled clips, {escaped(where)}">'
            f"<figcaption>{escaped('; '.join(filter(None, told)))}. Files beside this page: {beside}.</figcaption></figure>"
        )
    if not blocks:
        return ""
    return (
        '<section id="samples"><h2>Samples</h2><button type="button" id="play" aria-pressed="true">Pause</button>'
        f"{''.join(blocks)}</section>"
    )


def _method_section(study: Study) -> str:
    rows = []
    for quantity in study.quantities:
        source = ""
        if quantity.source:
            source = "; ".join(dict.fromkeys(text for text in study.frame[quantity.source] if isinstance(text, str)))
        reach = {
            "exact": "follows from the declaration",
            "portable": "any machine, within tolerance",
            "machine": "this hardware only",
        }
        rows.append(
            f"<tr><td>{escaped(quantity.label)}</td><td>{escaped(quantity.how)}</td><td>{escaped(source)}</td>"
            f"<td>{reach[quantity.reach]}</td></tr>"
        )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Quantity", "How", "Counter or protocol", "Holds on"))
    return (
        '<section id="method"><h2>How each number was measured</h2><div class="scroll">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cells_section(study: Study, items: Items) -> str:
    made = [
        items.make(f"card of {cell.record.label}", partial(cell_card, cell, label, study.title(group)))
        for cell, label, group in zip(study.cells, study.frame["label"], study.group_of, strict=True)
        if cell.attempts
    ]
    cards = [card for card in made if card is not None]
    if len(cards) < PACKED_FROM:
        shown = "".join(card.html() for card in cards)
    else:
        shown = "".join(card.html(place) for place, card in enumerate(cards)) + packed_bodies([card.body for card in cards])
    return (
        '<section id="cells"><h2>Cells</h2><label class="filter">Filter <input type="search" data-filter-cells></label>'
        f"{shown}</section>"
    )


def _missing_section(missing: Mapping[str, str]) -> str:
    if not missing:
        return ""
    lines = "".join(f"<li>{escaped(name)}: {escaped(why)}</li>" for name, why in missing.items())
    return (
        '<section id="missing"><h2>What is missing</h2><p class="warning">These parts could not be made of the records; '
        f'everything else could.</p><ul class="notes">{lines}</ul></section>'
    )


def _notes_section(notes: Sequence[str]) -> str:
    lines = "".join(f"<li>{escaped(note)}</li>" for note in notes)
    return f'<section id="records"><h2>Records set aside</h2><ul class="notes">{lines}</ul></section>' if lines else ""


def _downloads_section(downloads: Mapping[str, str]) -> str:
    links = ""
    for name, text in downloads.items():
        if len(text) >= PACKED_TEXT:
            links += (
                f'<li><a download="{escaped(name)}" href="#downloads" data-packed="{packed(text)}">{escaped(name)}</a></li>'
            )
            continue
        content = base64.b64encode(text.encode()).decode()
        address = f"data:text/csv;charset=utf-8;base64,{content}"
        links += f'<li><a download="{escaped(name)}" href="{address}">{escaped(name)}</a></li>'
    return f'<section id="downloads"><h2>Data</h2><ul>{links}</ul></section>' if links else ""
