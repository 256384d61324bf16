"""``vdmbench data``: record, prepare, look at and verify data sets."""

from __future__ import annotations

import typer

from vdmbench.cli.data import look, prepare, record

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Record, prepare, look at and verify data sets.")
app.add_typer(record.app, name="record")
app.command("prepare")(prepare.prepare)
app.command("info")(look.info)
app.command("preview")(look.preview)
app.command("verify")(look.verify)
