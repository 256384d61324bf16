"""A table as markdown, CSV, LaTeX (booktabs) or an HTML fragment; and every number as a LaTeX macro. All text is escaped."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Hashable
from functools import partial
from typing import Any

import pandas as pd

from vdmbench.cell_label import coordinate_word
from vdmbench.report.items import Items
from vdmbench.report.tables import Entry, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "µ": r"\textmu{}",
    "–": "--",
    "−": r"\ensuremath{-}",
}


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is, in a paragraph or within ``$...$``."""
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    """The same without characters that end a line or a comment, or that no format can hold."""
    return "".join(character if character.isprintable() else " " for character in text)


def markdown_text(text: str) -> str:
    """Text that cannot break out of a table's field, nor become markup."""
    for character in "\\`*<|":
        text = text.replace(character, "\\" + character)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # inside a word it is no markup
    return _one_line(text.replace("](", "]\\("))


def markdown(table: Table, *, heading: bool = True) -> str:
    """GitHub-flavoured markdown, columns padded so that the source is read too."""

    def shown(entry: Entry) -> str:
        text = markdown_text(entry.text)
        return f"**{text}**" if entry.bold else text

    heads = [markdown_text(column.header) for column in table.columns]
    body = [[shown(entry) for entry in row] for row in table.rows]
    widths = [max(3, *(len(row[index]) for row in [heads, *body])) for index in range(len(heads))]

    def line(fields: list[str]) -> str:
        padded = [
            text.rjust(width) if column.numeric else text.ljust(width)
            for text, width, column in zip(fields, widths, table.columns, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        f"{'-' * (width + 1)}:" if column.numeric else "-" * (width + 2)
        for width, column in zip(widths, table.columns, strict=True)
    )
    lines = [f"## {markdown_text(table.title)}", ""] if heading else []
    lines += [line(heads), f"|{rule}|", *map(line, body)]
    lines += ["", *(f"- {markdown_text(note)}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def spreadsheet_text(text: str) -> str:
    """One line that a spreadsheet shows and does not compute: behind an apostrophe where it would be read as a formula."""
    line = _one_line(text)
    return f"'{line}" if re.match(r"\s*[=+\-@]", line) and not _NUMBER.fullmatch(line) else line


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_frame(frame: pd.DataFrame) -> bytes:
    """A frame as CSV, its texts and column names by :func:`spreadsheet_text`."""

    def shown(value: Any) -> Any:
        return spreadsheet_text(value) if isinstance(value, str) else value

    safe = frame.rename(columns=shown)
    for position, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            safe.isetitem(position, safe.iloc[:, position].astype(object).map(shown).array)
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text.encode()


def csv_text(table: Table) -> str:
    """Numbers to nine digits in the header's unit, deviation and count in columns of their own; empty where unknown."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.9g}"

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads = []
    for column in table.columns:
        heads.append(spreadsheet_text(column.header))
        heads += [f"{heads[-1]} deviation", f"{heads[-1]} n"] if column.spread else []
    writer.writerow(heads)
    for row in table.rows:
        fields = []
        for column, entry in zip(table.columns, row, strict=True):
            fields.append(number(entry.value) if column.numeric else spreadsheet_text(entry.text))
            fields += [number(entry.deviation), "" if entry.n is None else str(entry.n)] if column.spread else []
        writer.writerow(fields)
    return buffer.getvalue()


def table_frame(table: Table) -> pd.DataFrame:
    """The numbers of a table unrounded, in the headers' units, by the columns' keys; text where no numbers stand."""
    columns: dict[str, Any] = {}
    for column, entries in zip(table.columns, zip(*table.rows, strict=True), strict=True):
        if not column.numeric:
            columns[column.key] = pd.array([entry.text for entry in entries], dtype="string")
            continue
        columns[column.key] = pd.array([entry.value for entry in entries], dtype="Float64")
        if column.spread:
            columns[f"{column.key}.deviation"] = pd.array([entry.deviation for entry in entries], dtype="Float64")
            columns[f"{column.key}.n"] = pd.array([entry.n for entry in entries], dtype="Int64")
    return pd.DataFrame(columns)


def latex(table: Table) -> str:
    """A ``tabular`` with booktabs rules, to be put in a ``table`` of one's own; notes as comments above it."""

    def shown(entry: Entry) -> str:
        text = latex_text(entry.text)
        return rf"\textbf{{{text}}}" if entry.bold else text

    lines = [f"% {_one_line(note)}" for note in (table.title, "needs \\usepackage{booktabs}", *table.notes)]
    lines += [
        rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in table.columns)}}}",
        r"\toprule",
        " & ".join(latex_text(column.header) for column in table.columns) + r" \\",
        r"\midrule",
    ]
    for index, row in enumerate(table.rows):
        lines += [r"\midrule"] if index in table.breaks else []
        line = " & ".join(map(shown, row)) + r" \\"
        lines.append("{}" + line if line[0] in "[*" else line)  # or the row's end above would take it for its option
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def html_table(table: Table) -> str:
    """A ``<table>`` whose fields carry the number to sort by in ``data-sort``."""
    head = "".join(
        f'<th scope="col"{_class("num" if column.numeric else "")}>{html.escape(column.header)}</th>'
        for column in table.columns
    )
    lines = [f'<table id="table-{html.escape(table.name)}" class="data">', f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for index, row in enumerate(table.rows):
        fields = []
        for column, entry in zip(table.columns, row, strict=True):
            classes = " ".join(
                name for name, on in (("num", column.numeric), ("bold", entry.bold), ("failed", entry.failed)) if on
            )
            attributes = _class(classes) + ("" if entry.value is None else f' data-sort="{entry.value:.9g}"')
            fields.append(f"<td{attributes}>{html.escape(entry.text)}</td>")
        lines.append(f"<tr{_class('group' if index in table.breaks else '')}>{''.join(fields)}</tr>")
    lines += ["</tbody>", "</table>"]
    lines += ['<ul class="notes">', *(f"<li>{html.escape(note)}</li>" for note in table.notes), "</ul>"] if table.notes else []
    return "\n".join(lines) + "\n"


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


_MACRO = r"""% Numbers of this report, one macro a number: \vdm{attention/frames=16/peak_train_memory} prints the mean,
% with /deviation, /n, or (against the reference) /difference, /relative, /low, /high, /p_holm appended what is meant by it.
% An unknown name is an error, never an empty place. \input this file in the preamble. All work within $...$, which sets a true
% minus, and all but /relative within siunitx's \num{...}.
\makeatletter
\providecommand{\vdm}[1]{\ifcsname vdm@#1\endcsname\csname vdm@#1\endcsname\else
  \PackageError{vdmbench}{no number '#1' in this report}{Names are variant/coordinates/quantity.}\fi}
"""


def latex_numbers(
    summary: pd.DataFrame, coordinates: list[str], scales: dict[str, tuple[float, str]], items: Items | None = None
) -> str:
    """One macro for every number of :func:`~vdmbench.report.aggregation.aggregate`, in the units of the main table; a row
    whose macros cannot be made is left out, with the reason in ``items``."""
    items = items or Items()
    several = [name for name in ("suite", "cohort") if name in summary and summary[name].nunique() > 1]
    lines, paths = [_MACRO.rstrip("\n")], summary.attrs["paths"]
    taken: set[str] = set()
    for row in summary.to_dict("records"):
        # What a variant does not have, such as a budget that it is exempt from, is no part of its numbers' names.
        where = ",".join(f"{name}={coordinate_word(paths[name], row[name])}" for name in coordinates if not pd.isna(row[name]))
        parts = [str(row[name]) for name in several] + [row["label"], where, row["quantity"]]
        key = "/".join(part for part in parts if part)
        made = items.make(f"number {key}", partial(_macros, key, row, scales, taken))
        taken.add(_macro_name(key))
        lines += made or []
    return "\n".join([*lines, r"\makeatother"]) + "\n"


def _macros(key: str, row: dict[Hashable, Any], scales: dict[str, tuple[float, str]], taken: set[str]) -> list[str]:
    """Of one row: the mean and all that belongs to it, or the status of a cell without one."""
    if _macro_name(key) in taken:
        raise ValueError("another number has this name, once what LaTeX cannot have in a name is replaced")
    factor, unit = scales.get(row["quantity"], (1.0, row["unit"]))
    if pd.isna(row["mean"]):
        return [_define(key, latex_text(row["failures"]))]
    lines = [_define(key, _plain(row["mean"] / factor)) + (f" % {_one_line(unit)}" if unit else "")]
    lines += [
        _define(f"{key}/{name}", _plain(row[name] / factor))
        for name in ("deviation", "difference", "low", "high")
        if name in row and not pd.isna(row[name])
    ]
    if "relative" in row and not pd.isna(row["relative"]):
        lines.append(_define(f"{key}/relative", _plain(100 * row["relative"]) + r"\%"))
    if "p_holm" in row and not pd.isna(row["p_holm"]):
        lines.append(_define(f"{key}/p_holm", _plain(row["p_holm"])))
    return [*lines, _define(f"{key}/n", str(row["n"]))]


def _plain(value: float) -> str:
    """A number for the text, for ``$...$`` and for ``\\num{...}`` alike: its minus is a hyphen that each of them sets."""
    from vdmbench.report.tables import shown_value

    return shown_value(value)


def _define(key: str, text: str) -> str:
    return rf"\expandafter\def\csname vdm@{_macro_name(key)}\endcsname{{{text}}}"


def _macro_name(key: str) -> str:
    return _one_line(key).translate(str.maketrans("\\{}%#~^", "/()  - "))
