"""What is shown of one running cell: phase, steps, losses and peak memory, folded from its events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from vdmbench.records import Event, Progress

_BARS = "▁▂▃▄▅▆▇█"
_LOSSES = 64


class RunningCell:
    """One cell between its start and its end."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.progress = Progress()
        self.losses: deque[float] = deque(maxlen=_LOSSES)
        self.peak_bytes: int | None = None
        """The highest so far: allocated by CUDA, or of live tensors on a CPU."""

    def hear(self, event: Event) -> None:
        self.progress = self.progress.after(event)
        if event["type"] == "progress" and event["loss"] is not None:
            self.losses.append(float(event["loss"]))
        elif event["type"] == "phase_ended":
            self.peak_bytes = max(filter(None, (self.peak_bytes, event["reading"]["allocated_peak_bytes"])), default=None)
        elif event["type"] == "rehearsed":
            self.peak_bytes = max(event["rehearsal"]["live_peak_bytes"].values(), default=None)

    @property
    def phase(self) -> str:
        return self.progress.phase or "starting"

    @property
    def steps(self) -> str:
        return "" if self.progress.step is None else f"{self.progress.step}/{self.progress.steps}"

    @property
    def loss(self) -> str:
        return f"{self.losses[-1]:.4f}" if self.losses else ""


def sparkline(values: Iterable[float], width: int) -> str:
    """The latest ``width`` values between the least and the greatest of them; a gap where one is not finite."""
    recent = list(values)[-width:]
    finite = [value for value in recent if abs(value) < float("inf")]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if abs(value) < float("inf") else " " for value in recent)
