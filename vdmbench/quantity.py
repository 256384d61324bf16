"""What one quantity is: its name, unit, direction and scale, how it is measured, and where a record keeps it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from vdmbench.records import Record

Reach = Literal["exact", "portable", "machine"]
"""How far a value holds: ``exact`` follows from what was declared; ``portable`` is a result that any machine reproduces
within tolerance; ``machine`` holds on one class of hardware only."""
Better = Literal["lower", "higher", "neither"]
StatisticalScale = Literal["ratio", "difference"]
"""How two values compare: by ``ratio`` where all are positive, by ``difference`` where they may be 0 or negative."""
Interval = tuple[float, float]

DIMENSIONS = {"bytes": "bytes", "s": "seconds", "s/clip": "seconds", "dB": "decibels", "": "plain"}
"""Unit to the dimension that an amount in a claim must have; every other unit is a count."""


def _nothing(record: Record) -> None:
    return None


def _always(record: Record) -> bool:
    return True


@dataclass(frozen=True)
class Quantity:
    """One column of numbers."""

    name: str
    """Column of the tidy frame, and the word that a claim uses."""
    label: str
    """For axes and headers, without unit."""
    unit: str
    """Base unit; empty for a plain number."""
    better: Better
    reach: Reach
    how: str
    """How it was measured, one sentence."""
    read: Callable[[Record], float | None] = field(default=_nothing, compare=False)
    """The value in a record; null where it holds none."""
    source: str | None = None
    """Column that says which counter or protocol gave the value; values of different sources are never mixed."""
    read_source: Callable[[Record], str | None] = field(default=_nothing, compare=False)
    interval: Callable[[Record], Interval | None] | None = field(default=None, compare=False)
    """The interval over clips in a record, for columns ``<name>.low`` and ``<name>.high``; null for what never has one."""
    absent: Callable[[Record], str | None] = field(default=_nothing, compare=False)
    """Why a cell that ended well has no value."""
    scale: StatisticalScale = "ratio"
    main: bool = False
    """Whether the main table shows it."""
    limit: str = "distance"
    """The field of a gate's limits that holds for it."""
    kept: Callable[[Record], bool] = field(default=_always, compare=False)
    """Whether records of that version hold it at all: of an older one the gate says so, and misses nothing."""
    per_cent_of: str | None = None
    """The quantity whose value a limit's per cent is of, where a value of its own may be near 0; null: its own."""
    gated: bool = True
    """Whether the gate judges it."""
    tells_collapse: bool = False
    """Whether a run that ends far above its siblings in it has collapsed."""
    own_points: bool = False
    """Whether it is taken along training at points of its own (``evaluate.val_loss``), beside those where clips are judged."""
    metric: str | None = None
    """The declared metric that gives it; null for what every record has."""

    @property
    def dimension(self) -> str:
        """What an amount in a claim must be: bytes, seconds, decibels, count or plain."""
        return DIMENSIONS.get(self.unit, "count")

    @property
    def learned(self) -> bool:
        """Whether it follows from what a network has learned, so that it has a value wherever training was judged."""
        return self.reach == "portable"

    @property
    def signed(self) -> bool:
        """May be zero or less: averaged over sweep points by its arithmetic mean, others by their geometric one."""
        return self.scale == "difference"

    @property
    def sign(self) -> float:
        """1 where lower is better, -1 where higher is: ``sign * value`` is smaller for what is better."""
        return -1.0 if self.better == "higher" else 1.0


def finite(value: float | None) -> float | None:
    """NaN and infinity are outcomes, not numbers to average: null."""
    return value if value is not None and math.isfinite(value) else None
