"""The append-only log of one attempt: a JSON object a line, in ``events.jsonl``.

A worker that dies in the middle of a write leaves a torn last line: a reader drops it silently, because the event did
not happen. A torn line anywhere else means that the file was damaged, and is reported.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vdmbench.whole_file import naming

Event = dict[str, Any]


class DamagedEvents(ValueError):
    """A line that is not the last does not parse."""


def _spell_non_finite(value: Any) -> Any:
    """JSON has no NaN or infinity: write them as the strings that float() and pydantic read back."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spell_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_non_finite(item) for item in value]
    return value


class EventLog:
    """Appends events, each in a single write, so that lines of two writers never mix."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Write one event, with the time of the wall clock; ``durable`` waits until it is on disk."""
        line = json.dumps(_spell_non_finite({"at": round(time.time(), 3), **event}), allow_nan=False).encode() + b"\n"
        with naming(self._path):
            if os.write(self._descriptor, line) != len(line):
                raise OSError(f"event log: only a part of {len(line)} bytes was written (disk full?)")
            if durable:
                os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


HEARTBEAT = "heartbeat"
"""Type of the event by which a supervisor says that it is there, whatever its worker does; readers of events pass it over."""


def beat(path: Path) -> None:
    """Add a heartbeat to a log that another process writes; none where that is in the middle of a line, or died there."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            os.write(descriptor, json.dumps({"at": round(time.time(), 3), "type": HEARTBEAT}).encode() + b"\n")
    finally:
        os.close(descriptor)


_TAIL_BYTES = 65_536


def last_heard(path: Path) -> float | None:
    """When the last event of a log was told, in seconds since the epoch by the clock of who told it; None where none was."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    return next((float(event["at"]) for line in reversed(lines) if (event := _parse(line)) is not None), None)


_NON_FINITE = ("NaN", "Infinity", "-Infinity")


def _is_loss(value: Any) -> bool:
    return value is None or isinstance(value, int | float) or value in _NON_FINITE


_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "phase_started": {"phase": lambda value: isinstance(value, str)},
    "progress": {
        "phase": lambda value: isinstance(value, str),
        "step": lambda value: isinstance(value, int),
        "steps": lambda value: isinstance(value, int),
        "loss": _is_loss,
    },
}
"""What readers of a running attempt rely on, by type of event: each field is there, and is what it should be."""


def _parse(line: bytes) -> Event | None:
    """The event of a line; None where it holds none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str) or not isinstance(event.get("at"), int | float):
        return None
    fields = _FIELDS.get(event["type"], {})
    return event if all(field in event and fits(event[field]) for field, fits in fields.items()) else None


def read_events(path: Path) -> Iterator[Event]:
    """The events of a log, in order; an absent file has none. Raises :class:`DamagedEvents` for a torn middle line."""
    if not path.exists():
        return
    with naming(path):
        lines = path.read_bytes().split(b"\n")
    last = len(lines) - 1
    for number, line in enumerate(lines):
        if number == last:
            return  # what follows the last newline is either nothing or a torn line
        event = _parse(line)
        if event is None:
            raise DamagedEvents(f"{path}:{number + 1}: not an event; the log was damaged after it was written")
        if event["type"] != HEARTBEAT:
            yield event


class EventTail:
    """Reads a growing log: each call gives the events that were completed since the one before."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[Event]:
        if not self._path.exists():
            return []
        with naming(self._path), self._path.open("rb") as file:
            file.seek(self._offset)
            grown = file.read()
        complete = grown[: grown.rfind(b"\n") + 1]
        self._offset += len(complete)
        events = [event for line in complete.split(b"\n") if (event := _parse(line)) is not None]
        return [event for event in events if event["type"] != HEARTBEAT]
