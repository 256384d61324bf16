"""How much of a change counts, by quantity: per cent and absolute limits of the gate, with defaults for a CPU."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from vdmbench.report.quantities import Quantity


class Threshold(BaseModel):
    """A change counts where it exceeds both limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    percent: float = Field(ge=0)
    """Of the baseline's value."""
    absolute: float = Field(ge=0)
    """In base units: bytes, seconds, or the metric's own."""


class Thresholds(BaseModel):
    """What counts as a change, by quantity."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    memory: Threshold = Threshold(percent=3, absolute=4 * 2**20)
    """Peaks, in bytes."""
    resident_sampling: Threshold = Threshold(percent=10, absolute=32 * 2**20)
    """Peaks of sampling where memory is the process's resident set: reruns scatter by 8 %, those of training by 1.5 %."""
    time: Threshold = Threshold(percent=25, absolute=1e-4)
    """A cell's time against the other cells of its run, in seconds."""
    common_time: Threshold = Threshold(percent=80, absolute=0)
    """The factor by which a whole run is slower."""
    distance: Threshold = Threshold(percent=10, absolute=1e-6)
    """Declared metrics; a metric of its own may stand in ``metrics``."""
    final_loss: Threshold = Threshold(percent=5, absolute=1e-4)
    """Training loss."""
    decibels: Threshold = Threshold(percent=1, absolute=0.25)
    """PSNR of predicted frames, and recall."""
    metrics: dict[str, Threshold] = Field(default_factory=dict)
    """By metric name, before ``distance``."""

    def limit(self, quantity: Quantity, source: str | None = None) -> Threshold:
        """The limit of one quantity; ``source`` is the counter that gave its values."""
        if quantity.name in self.metrics:
            return self.metrics[quantity.name]
        if quantity.name == "peak_sample_memory" and (source or "").startswith("RSS"):
            return self.resident_sampling
        by_unit = {"bytes": self.memory, "s": self.time, "s/clip": self.time, "dB": self.decibels}
        return self.final_loss if quantity.name == "final_loss" else by_unit.get(quantity.unit, self.distance)
