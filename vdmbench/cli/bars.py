"""How far a command is: a bar on a terminal, on standard error, gone at the end; nothing anywhere else."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from vdmbench.cli.terminal import printable


class Bars:
    """One bar for each thing that is being done, made when it is first told of."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._progress.__exit__(*exception)

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of ``what``."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(printable(what, lines=False), total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)
