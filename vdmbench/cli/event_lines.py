"""Events of an attempt as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vdmbench.records import Event


def event_line(event: Event) -> str:
    """Time of day (UTC) and what happened."""
    at = datetime.fromtimestamp(event["at"], UTC).strftime("%H:%M:%S")
    return f"{at}  {_told(event)}"


def resumed(event: Event) -> str:
    """Where a cell begins that does not begin at its first step."""
    if "cell" in event:
        return f"takes the network that {event['label']} ({event['cell']}) trained alike"
    return f"goes on from the checkpoint of step {event['step']}"


def _told(event: Event) -> str:
    match event["type"]:
        case "phase_started":
            return f"{event['phase']} began"
        case "phase_ended":
            return f"{event['phase']} ended after {event['reading']['seconds']:.2f} s"
        case "progress":
            loss = "" if event["loss"] is None else f", loss {float(event['loss']):.4f}"
            return f"{event['phase']} {event['step']}/{event['steps']}{loss}"
        case "resumed":
            return resumed(event)
        case "checkpoint":
            return f"checkpoint of step {event['step']}"
        case "environment":
            return f"on {event['cohort']}"
        case "data":
            return f"data {event['split']}: {event['fingerprint']}"
        case "held_out_loss":
            return f"held-out loss {float(event['value']):.4f} after step {event['step']}"
        case "judged":
            return f"{event['metric']} {float(event['result']['value']):.4g}"
        case "outcome":
            return f"{event['status']}{': ' + event['message'] if event.get('message') else ''}"
        case other:
            details = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("at", "type"))
            return f"{other}: {details if len(details) <= 100 else details[:99] + '…'}"


_RECURRING = ("progress", "held_out_loss")
"""Types of events that come again and again along one phase."""


def condensed(events: Iterable[Event]) -> Iterator[Event]:
    """The events, with only the last of each type that recurs in each stretch of one phase."""
    latest: dict[str, Event] = {}
    for event in events:
        kind, before = event["type"], latest.get("progress")
        another_phase = kind == "progress" and before is not None and event["phase"] != before["phase"]
        if kind not in _RECURRING or another_phase:
            yield from latest.values()
            latest.clear()
        if kind in _RECURRING:
            latest.pop(kind, None)  # so that they stand in the order of time
            latest[kind] = event
        else:
            yield event
    yield from latest.values()
