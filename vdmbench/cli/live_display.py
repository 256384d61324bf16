"""The live panel of a run: how the suite stands, a line for each running cell, and finished cells above as they end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from vdmbench.byte_sizes import rounded_bytes
from vdmbench.cli.display import finished_before, outcome, stopping
from vdmbench.cli.event_lines import resumed
from vdmbench.cli.running_cell import RunningCell, sparkline
from vdmbench.cli.status import duration
from vdmbench.cli.terminal import styled
from vdmbench.records import Event, Record, Status
from vdmbench.runner.planning import Planned
from vdmbench.runner.settled import FAILED

_STYLES = {"ok": "green", "oom": "yellow", "infeasible": "yellow", "interrupted": "yellow", "skipped": "yellow"}
_REFRESHES_A_SECOND = 2
"""Drawing is what the supervising process spends most of its time with."""
_NARROW = 100
"""Columns below which the sparkline is short and the bar shorter."""


class LiveDisplay:
    """A terminal that is redrawn in place."""

    def __init__(self, console: Console, title: str, cells: int) -> None:
        self._console, self._title, self._cells = console, title, cells
        self._counts: Counter[Status] = Counter()
        self._running: dict[str, RunningCell] = {}
        self._began = time.monotonic()
        self._left: tuple[float, float] | None = None
        """Seconds left, and when that was told."""
        self._live = Live(
            console=console, get_renderable=self.panel, refresh_per_second=_REFRESHES_A_SECOND, redirect_stdout=False
        )

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def panel(self) -> RenderableType:
        """What is drawn below the lines of finished cells."""
        narrow = self._console.width < _NARROW
        return Group(self._suite(12 if narrow else 32), *([self._table(8 if narrow else 24)] if self._running else []))

    def _suite(self, bar: int) -> Table:
        failed = sum(number for status, number in self._counts.items() if status in FAILED)
        done = sum(self._counts.values()) - failed - self._counts["interrupted"] - self._counts["skipped"]
        line = Table.grid(padding=(0, 1))
        line.add_row(
            styled(self._title, style="bold", overflow="ellipsis", no_wrap=True),
            ProgressBar(total=max(1, self._cells), completed=done + failed, width=bar),
            styled(f"{done}/{self._cells} done"),
            styled(f"{failed} failed", style="red" if failed else "dim"),
            styled(f"{len(self._running)} running", style="cyan"),
            styled(f"{duration(time.monotonic() - self._began)} gone, {duration(self._seconds_left())} left", style="dim"),
        )
        for column in line.columns:
            column.no_wrap = True
        return line

    def _table(self, spark: int) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for width, justify in ((8, "left"), (9, "right"), (6, "right"), (spark, "left"), (9, "right")):
            table.add_column(width=width, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for cell in self._running.values():
            table.add_row(
                styled(f"  {cell.label}"),
                styled(cell.phase, style="cyan"),
                styled(cell.steps),
                styled(cell.loss),
                styled(sparkline(cell.losses, spark), style="magenta"),
                styled("–" if cell.peak_bytes is None else rounded_bytes(cell.peak_bytes), style="dim"),
            )
        return table

    def _seconds_left(self) -> float | None:
        return None if self._left is None else max(0.0, self._left[0] - (time.monotonic() - self._left[1]))

    def found(self, statuses: Counter[Status], waiting: Sequence[Planned]) -> None:
        self._counts += statuses
        if statuses:
            self._console.print(styled(f"{finished_before(statuses)}; {len(waiting)} to run", style="dim"))

    def cell_started(self, planned: Planned, number: int, total: int) -> None:
        self._running[planned.cell.identity] = RunningCell(planned.cell.label)

    def event(self, planned: Planned, event: Event) -> None:
        if (cell := self._running.get(planned.cell.identity)) is not None:
            cell.hear(event)
        if event["type"] == "resumed":
            text = f"            {planned.cell.label} {resumed(event)}"
            self._console.print(styled(text, style="dim"), soft_wrap=True)

    def cell_ended(self, planned: Planned, record: Record) -> None:
        self._running.pop(planned.cell.identity, None)
        self._counts[record.status] += 1
        style = _STYLES.get(record.status, "red")
        told = outcome(record).removeprefix(record.status).lstrip(", ")
        line = styled(f"{record.status:>11} ", style) + styled(f"{planned.cell.label}  ") + styled(told, "dim")
        self._console.print(line, soft_wrap=True)

    def seconds_left(self, seconds: float | None) -> None:
        self._left = None if seconds is None else (seconds, time.monotonic())

    def stopping(self, reason: str) -> None:
        self._console.print(styled(stopping(reason), style="yellow"), soft_wrap=True)
