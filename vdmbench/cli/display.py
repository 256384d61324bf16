"""How a run shows itself: a live panel on a terminal, plain lines anywhere else; always on standard error."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vdmbench.byte_sizes import rounded_bytes
from vdmbench.cli.event_lines import resumed
from vdmbench.cli.status import duration
from vdmbench.cli.terminal import styled
from vdmbench.records import Event, Record, Status, allocated_peak
from vdmbench.runner.planning import Planned

if TYPE_CHECKING:
    from vdmbench.cli.live_display import LiveDisplay


def display(title: str, cells: int) -> PlainDisplay | LiveDisplay:
    """Live on a terminal that can move its cursor, plain lines otherwise; ``cells`` is how many the suite has."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return PlainDisplay(console)
    from vdmbench.cli.live_display import LiveDisplay

    return LiveDisplay(console, title, cells)


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
        self._console.print(styled(f"[{time.monotonic() - self._began:7.1f} s] {text}"), highlight=False, soft_wrap=True)

    def found(self, statuses: Counter[Status], waiting: Sequence[Planned]) -> None:
        if statuses:
            self._say(f"{finished_before(statuses)}; {len(waiting)} to run")

    def cell_started(self, planned: Planned, number: int, total: int) -> None:
        self._say(f"cell {number}/{total} {planned.cell.label} ({planned.cell.identity}) started")

    def event(self, planned: Planned, event: Event) -> None:
        if event["type"] == "resumed":
            self._say(f"  {planned.cell.label} {resumed(event)}")

    def cell_ended(self, planned: Planned, record: Record) -> None:
        self._say(f"{planned.cell.label}: {outcome(record)}")

    def seconds_left(self, seconds: float | None) -> None:
        if seconds:
            self._say(f"  about {duration(seconds)} left")

    def stopping(self, reason: str) -> None:
        self._say(stopping(reason))


def finished_before(statuses: Counter[Status]) -> str:
    """Of cells that earlier runs finished."""
    counts = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
    return f"finished before: {counts}"


def stopping(reason: str) -> str:
    """What an end that was asked for means."""
    return f"ending: {reason}; running cells leave a checkpoint (Ctrl-C again does not wait for it)"


def outcome(record: Record) -> str:
    """A finished cell in a line."""
    parts: list[str] = [record.status]
    if record.training and record.training.final_loss is not None:
        parts.append(f"loss {record.training.final_loss:.4f}")
    if record.training and record.training.val_loss is not None:
        parts.append(f"held-out loss {record.training.val_loss.values[-1]:.4f}")
    parts += [f"{result.name} {result.value:.4g}" for result in record.metrics.values()]
    if record.status == "ok":
        peak, counter = allocated_peak(record, "train")
        parts.append("train peak –" if peak is None else f"train peak {rounded_bytes(peak)} ({counter})")
    elif record.message:
        parts.append(f"in {record.phase or 'start'}: {record.message}")
    return ", ".join(parts)
