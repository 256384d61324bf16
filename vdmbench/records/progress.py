"""How far an attempt has come, told from its event log alone, so that any process can ask at any time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vdmbench.records.events import Event


@dataclass(frozen=True)
class Progress:
    """Where an attempt is. Null is what cannot be known yet."""

    phase: str | None = None
    """None before the first phase: libraries are being loaded."""
    steps: int | None = None
    """Of the phase."""
    loss: float | None = None
    """Of the last training step."""
    first: tuple[int, float] | None = None
    """Step and time of the first progress in this phase."""
    latest: tuple[int, float] | None = None
    """Step and time of the latest progress in this phase."""
    last_event: float | None = None
    """Wall-clock time of the last event, seconds since the epoch."""

    def after(self, event: Event) -> Progress:
        """The progress once ``event`` has happened."""
        at = event["at"]
        if event["type"] == "phase_started":
            return Progress(event["phase"], loss=self.loss, last_event=at)
        if event["type"] != "progress":
            return replace(self, last_event=at)
        step = (event["step"], at)
        loss = self.loss if event["loss"] is None else float(event["loss"])
        return replace(self, steps=event["steps"], loss=loss, first=self.first or step, latest=step, last_event=at)

    @property
    def step(self) -> int | None:
        """Of the phase; None before its first."""
        return self.latest and self.latest[0]

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over this phase; None with fewer than two steps, and where the clock was set back meanwhile."""
        if self.first is None or self.latest is None:
            return None
        steps, seconds = self.latest[0] - self.first[0], self.latest[1] - self.first[1]
        return seconds / steps if steps > 0 and seconds > 0 else None

    @property
    def phase_seconds_left(self) -> float | None:
        """Until this phase ends, at the rate it has had so far."""
        if self.seconds_per_step is None or self.step is None or self.steps is None:
            return None
        return self.seconds_per_step * (self.steps - self.step)

    def age(self, now: float) -> float | None:
        """Seconds since the last event; 0 where the clock was set back since."""
        return None if self.last_event is None else max(0.0, now - self.last_event)


def progress_of(events: Iterable[Event]) -> Progress:
    """Fold a whole log."""
    progress = Progress()
    for event in events:
        progress = progress.after(event)
    return progress
