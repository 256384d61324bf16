"""The Typer app, and what happens to errors on their way out."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Annotated

import typer

from vdmbench import __version__
from vdmbench.cli import (
    bench,
    check_mixer,
    compare,
    data,
    doctor,
    fvd,
    listing,
    merge,
    plan,
    report,
    rerun,
    run,
    schema,
    show,
    status,
    tail,
    weights,
)
from vdmbench.cli.lasting_stderr import LastingStderr
from vdmbench.cli.terminal import say

EXIT_USAGE = 2
EXIT_FAULT = 70
"""sysexits.h calls it an internal software error."""

app = typer.Typer(
    name="vdmbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # in help, pip install 'vdmbench[fvd]' is what it says, and no markup
    help="Compare temporal layers of video diffusion models at the same memory: declare a suite, run it, read the report.",
    epilog="Start with: vdmbench plan suites/tiny.yaml",
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("tail")(tail.tail)
app.command("rerun")(rerun.rerun)
app.command("merge")(merge.merge)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("fvd")(fvd.fvd)
app.command("check-mixer")(check_mixer.check_mixer)
app.command("list")(listing.list_names)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands; ``--debug`` is read in :func:`main`, which the traceback would pass."""


def main() -> None:
    """Entry point: whatever goes wrong is one line.

    What the user can mend ends with exit code 2; a fault of our own with 70, and a report of it in a file. ``--debug`` shows
    where either came from.
    """
    with redirect_stderr(LastingStderr(sys.stderr)) if sys.stderr is not None else nullcontext():
        _main(debug="--debug" in sys.argv)


def _main(*, debug: bool) -> None:
    try:
        _require_working_directory()
        app()
    except (ValueError, OSError) as error:
        if debug:
            raise
        say(f"error: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except Exception as error:
        if debug:
            raise
        from vdmbench.cli.fault_report import in_a_line

        say(f"error: {in_a_line(error)}", err=True)
        sys.exit(EXIT_FAULT)


def _require_working_directory() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise FileNotFoundError("the working directory is gone: go to one that exists, and start again there") from None
