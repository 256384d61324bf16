"""``vdmbench data``: record, prepare, look at and verify data sets; one file for what makes them, one for what reads them."""

from __future__ import annotations

import typer

from vdmbench.cli.data import record

app = typer.Typer(no_args_is_help=True, help="Record, prepare, look at and verify data sets.")
app.add_typer(record.app, name="record")
