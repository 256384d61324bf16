"""How a run shows itself: a live panel on a terminal, plain lines anywhere else; always on standard error."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vdmbench.records import Event, Record
from vdmbench.runner.planning import Planned

_STYLES = {"ok": "green", "oom": "yellow", "infeasible": "yellow", "interrupted": "yellow"}


def _gib(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**30:.2f} GiB"


def _peak(record: Record) -> str:
    reading = record.phases.get("train")
    if reading is None:
        return "–"
    return _gib(reading.allocated_peak_bytes or reading.rss_peak_bytes)


def _loss_bars(losses: list[float], width: int = 24) -> str:
    """A sparkline of the latest losses."""
    recent = losses[-width:]
    if len(recent) < 2:
        return ""
    low, high = min(recent), max(recent)
    return "".join("▁▂▃▄▅▆▇█"[int(7 * (loss - low) / (high - low))] if high > low else "▁" for loss in recent)


class PlainDisplay:
    """One line when a cell starts or ends: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def _say(self, text: str) -> None:
        self._console.print(f"[{time.monotonic() - self._began:7.1f} s] {text}", highlight=False, markup=False, soft_wrap=True)

    def cell_started(self, planned: Planned, number: int, total: int) -> None:
        self._say(f"cell {number}/{total} {planned.cell.label} ({planned.cell.identity}) started")

    def event(self, planned: Planned, event: Event) -> None:
        if event["type"] == "resumed":
            self._say(f"  goes on from the checkpoint of step {event['step']}")

    def cell_ended(self, planned: Planned, record: Record, *, reused: bool) -> None:
        self._say(f"{planned.cell.label}: {_outcome(record)}{' (finished before)' if reused else ''}")


def _outcome(record: Record) -> str:
    parts: list[str] = [record.status]
    if record.training and record.training.final_loss is not None:
        parts.append(f"loss {record.training.final_loss:.4f}")
    parts += [f"{result.name} {result.value:.4g}" for result in record.metrics.values()]
    if record.status == "ok":
        parts.append(f"train peak {_peak(record)}")
    elif record.message:
        parts.append(f"in {record.phase or 'start'}: {record.message}")
    return ", ".join(parts)


class LiveDisplay:
    """Suite and cell progress, loss, memory and time left; finished cells scroll away above."""

    def __init__(self, console: Console, title: str, cells: int) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=32),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._suite = self._bars.add_task(title, total=cells)
        self._cell = self._bars.add_task("", total=1, visible=False)
        self._counts: dict[str, int] = {}
        self._losses: list[float] = []
        self._phase, self._peaks = "", dict[str, Any]()
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def _render(self) -> Group:
        facts = Table.grid(padding=(0, 2))
        counts = Text("  ").join(
            [Text(f"{number} {status}", style=_STYLES.get(status, "red")) for status, number in sorted(self._counts.items())]
        )
        loss = f"loss {self._losses[-1]:.4f} {_loss_bars(self._losses)}" if self._losses else ""
        memory = f"peak of {self._peaks['phase']} {_gib(self._peaks['bytes'])}" if self._peaks else ""
        facts.add_row(counts, Text(self._phase, style="cyan"), Text(loss), Text(memory, style="dim"))
        return Group(self._bars, facts)

    def cell_started(self, planned: Planned, number: int, total: int) -> None:
        self._losses, self._peaks, self._phase = [], {}, "starting"
        self._bars.reset(self._cell, total=1, description=f"{number}/{total} {planned.cell.label}", visible=True)

    def event(self, planned: Planned, event: Event) -> None:
        match event["type"]:
            case "phase_started":
                self._phase = event["phase"]
                self._bars.reset(self._cell, total=1)
            case "progress":
                self._bars.update(self._cell, completed=event["step"], total=event["steps"])
                if event["loss"] is not None:
                    self._losses.append(float(event["loss"]))
            case "phase_ended":
                reading = event["reading"]
                self._peaks = {"phase": event["phase"], "bytes": reading["allocated_peak_bytes"] or reading["rss_peak_bytes"]}
            case "resumed":
                self._console.print(f"  goes on from the checkpoint of step {event['step']}", style="dim")

    def cell_ended(self, planned: Planned, record: Record, *, reused: bool) -> None:
        self._counts[record.status] = self._counts.get(record.status, 0) + 1
        self._bars.update(self._suite, advance=1)
        self._bars.update(self._cell, visible=False)
        style = _STYLES.get(record.status, "red")
        line = Text.assemble(
            (f"{record.status:>11} ", style),
            f"{planned.cell.label}  ",
            (_outcome(record), "dim"),
            (" (finished before)" if reused else "", "dim"),
        )
        self._console.print(line, soft_wrap=True)


def display(title: str, cells: int) -> PlainDisplay | LiveDisplay:
    """Live on a terminal, plain lines otherwise."""
    console = Console(stderr=True)
    return LiveDisplay(console, title, cells) if console.is_terminal else PlainDisplay(console)
