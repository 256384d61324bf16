"""All that a command prints goes through here: what comes from elsewhere is shown as it is, and never obeyed.

Names, messages, paths and log lines are foreign. Square brackets in them are no markup, and characters that would move the
cursor, ring, colour, hide or turn text (control characters, escape sequences, bidirectional overrides) are written out, as
``\\x1b``. Lines may end; a field of a table is one line.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # rich is loaded where something is drawn, for most of the time of a small command is imports
    from rich.table import Table
    from rich.text import Text

LONGEST_FIELD = 1_000
"""Characters of a field in a table; ``--json`` has all of them."""


def printable(text: object, *, lines: bool = True) -> str:
    """Text that a terminal prints and does not obey. ``lines``: keep line ends and tabs; else they are spaces."""
    return "".join(_shown(character, lines) for character in str(text))


def _shown(character: str, lines: bool) -> str:
    if character in "\n\t":
        return character if lines else " "
    if unicodedata.category(character)[0] == "C" or character in "\u2028\u2029":
        return ascii(character)[1:-1]
    return character


def say(text: object, *, err: bool = False) -> None:
    """A line, or lines, on standard output or standard error."""
    typer.echo(printable(text), err=err)


def say_notes(notes: Iterable[str]) -> None:
    """What is to be known of records that were read, a line each on standard error; of many alike the first few."""
    lines = list(notes)
    for line in lines[:_MOST_NOTES]:
        say(f"note: {line}", err=True)
    if len(lines) > _MOST_NOTES:
        say(f"note: and {len(lines) - _MOST_NOTES} more of this kind", err=True)


_MOST_NOTES = 10


def say_json(value: Any, *, indent: int | None = 1) -> None:
    """Data on standard output; what is not ASCII is written as JSON escapes it, so that no terminal obeys it either."""
    typer.echo(json.dumps(value, indent=indent))


def styled(text: object, style: str = "", **options: Any) -> Text:
    """A field, or a line, in a style of its own."""
    from rich.text import Text

    return Text(printable(text, lines=False), style, **options)


@cache
def _table_of_text() -> type[Table]:
    from rich.table import Table
    from rich.text import Text

    class TableOfText(Table):
        """A table whose fields are text, whatever they hold."""

        def add_row(self, *fields: Any, **options: Any) -> None:
            super().add_row(*(each if isinstance(each, Text) else styled(_cut(each)) for each in fields), **options)

    return TableOfText


def _cut(text: object) -> str:
    shown = str(text)
    return shown if len(shown) <= LONGEST_FIELD else f"{shown[:LONGEST_FIELD]}… ({len(shown):,} characters)"


def simple_table(title: str, headers: list[str]) -> Table:
    """The one look that all tables have: words to the left, numbers to the right (header starting with a space)."""
    from rich import box

    heading = styled(title, "bold") if title else None
    table = _table_of_text()(title=heading, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for header in headers:
        table.add_column(styled(header.strip()), justify="right" if header.startswith(" ") else "left", overflow="fold")
    return table


def print_table(table: Table) -> None:
    """On standard output; as wide as it needs where that is no terminal, so that nothing is cut from a pipe."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=220)
    console.print(table)
