"""How much of a change counts between two runs of a suite: per cent and absolute limits, with defaults for a CPU."""

from __future__ import annotations

from pydantic import Field

from vdmbench.suite.model import Declared


class Threshold(Declared):
    """A change counts where it exceeds both limits."""

    percent: float = Field(ge=0)
    """Of the baseline's value."""
    absolute: float = Field(ge=0)
    """In base units: bytes, seconds, or the metric's own."""


class Thresholds(Declared):
    """What counts as a change, by quantity."""

    memory: Threshold = Threshold(percent=3, absolute=4 * 2**20)
    """Peaks, in bytes."""
    resident_sampling: Threshold = Threshold(percent=10, absolute=32 * 2**20)
    """Peaks of the resident set in sampling: reruns scatter by 8 %, those of training by 1.5 %."""
    time: Threshold = Threshold(percent=25, absolute=1e-4)
    """A cell's time against the other cells of its run, in seconds."""
    common_time: Threshold = Threshold(percent=80, absolute=0)
    """The factor by which a whole run is slower."""
    distance: Threshold = Threshold(percent=10, absolute=1e-6)
    """Declared metrics; a metric of its own may stand in ``metrics``."""
    share: Threshold = Threshold(percent=10, absolute=0.05)
    """Metrics of which more is better, coverage and recall: shares, most of them."""
    final_loss: Threshold = Threshold(percent=5, absolute=1e-4)
    """Training loss."""
    val_loss: Threshold = Threshold(percent=5, absolute=1e-4)
    """Held-out loss."""
    decibels: Threshold = Threshold(percent=1, absolute=0.25)
    """PSNR of predicted frames, and recall."""
    metrics: dict[str, Threshold] = Field(default_factory=dict)
    """By the name of a metric, or of a part of it such as ``fvd.coverage``, before the others."""
