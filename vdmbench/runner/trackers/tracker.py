"""What a tracker is told, and the numbers that it is told of an event."""

from __future__ import annotations

from typing import Protocol

from vdmbench.records import Event, Record
from vdmbench.suite import Cell


class Tracker(Protocol):
    """One run in somebody's viewer for each cell. Any call may raise; whoever calls decides what that means."""

    def cell_started(self, cell: Cell) -> None:
        """Open a run named for the cell, its declared inputs as the configuration."""

    def scalars(self, cell: Cell, numbers: dict[str, float], step: int) -> None:
        """Numbers by name, at a training step."""

    def cell_ended(self, cell: Cell, record: Record) -> None:
        """Close the cell's run, with its status."""

    def close(self) -> None:
        """Close what is open still."""


def scalars_of(event: Event) -> dict[str, float]:
    """The numbers of an event, by the names that viewers group by: ``train/loss``, ``seconds/sample``,
    ``memory/train/allocated_peak_bytes``, ``held-out/loss``, ``metrics/ste-fd``. What is unknown is left out."""
    match event["type"]:
        case "progress" if event["loss"] is not None:
            return {f"{event['phase']}/loss": float(event["loss"])}
        case "phase_ended":
            phase, reading = event["phase"], event["reading"]
            peaks = {name: value for name, value in reading.items() if name.endswith("_peak_bytes") and value is not None}
            return {f"seconds/{phase}": float(reading["seconds"])} | {
                f"memory/{phase}/{name}": float(value) for name, value in peaks.items()
            }
        case "held_out_loss":
            return {"held-out/loss": float(event["value"])}
        case "judged":
            return {f"metrics/{event['metric']}": float(event["result"]["value"])}
    return {}
