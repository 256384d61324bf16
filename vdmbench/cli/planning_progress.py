"""How many settings are solved while a suite is planned, on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vdmbench.cli.terminal import say

if TYPE_CHECKING:
    from vdmbench.runner.planning import ShowProgress

EVERY = 5.0
"""Seconds between lines where there is no terminal."""


@contextmanager
def planning_progress(*, as_json: bool = False) -> Iterator[ShowProgress | None]:
    """What :func:`~vdmbench.runner.planning.plan` tells its progress; None where data are asked for, or where nothing is."""
    if as_json:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().show
        return
    columns = TextColumn("planning"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("planning", visible=False)
        yield lambda done, of: progress.update(bar, completed=done, total=of, visible=True)


class _Lines:
    def __init__(self) -> None:
        self._next = 0.0

    def show(self, done: int, of: int) -> None:
        now = time.monotonic()
        if of > 1 and now >= self._next:
            self._next = now + EVERY
            say(f"planning: {done} of {of} settings", err=True)
