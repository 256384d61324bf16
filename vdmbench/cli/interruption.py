"""What an interrupted command says, and with which exit code it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from vdmbench.cli.terminal import say

EXIT_INTERRUPTED = 130


@contextmanager
def ending_well(message: str) -> Iterator[None]:
    """Within, Ctrl-C ends the command with ``message`` and 130, SIGTERM with 143, and SIGHUP with 129."""
    from vdmbench.runner.preemption import Preempted, preemptible

    try:
        with preemptible():
            yield
    except KeyboardInterrupt as stop:
        if isinstance(stop, Preempted):
            say(f"told to end ({stop.signal.name}); {message}", err=True)
            raise typer.Exit(stop.exit_code) from None
        say(f"interrupted; {message}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
