"""``vdmbench list``: the names that a suite may use."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say_json, simple_table


class Listed(StrEnum):
    mixers = "mixers"
    networks = "networks"
    datasets = "datasets"
    metrics = "metrics"
    suites = "suites"


def _suite_titles() -> list[tuple[str, str]]:
    from vdmbench.suite import load_suite
    from vdmbench.suite.shipped import shipped_suites

    return [(name, load_suite(path)[0].title) for name, path in shipped_suites().items()]


def list_names(kind: Annotated[Listed, typer.Argument(help="What to list.")], as_json: AsJson = False) -> None:
    """List what a suite can name, one line each, with the options of mixers, networks, data sets and metrics."""
    from vdmbench import registry

    if kind is Listed.suites:
        rows = [(name, title, "") for name, title in _suite_titles()]
    else:
        table = registry.tables["sources" if kind is Listed.datasets else kind.value]
        rows = [(entry.name, entry.help, ", ".join(entry.load_options().model_fields)) for entry in table]
    if as_json:
        say_json(
            [{"name": name, "help": text, "options": options.split(", ") if options else []} for name, text, options in rows]
        )
        return
    shown = simple_table("", ["name", "what it is", *(["options"] if any(row[2] for row in rows) else [])])
    for row in rows:
        shown.add_row(*row[: len(shown.columns)])
    print_table(shown)
