"""Time of repeated steps: synchronised, warm-up apart, median and quartiles."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


def synchronise(device: str) -> None:
    """Wait until the device has done all it was given; a CPU has, always."""
    if device.partition(":")[0] == "cuda":
        import torch

        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of ``count`` samples; with one sample all three are that one, and ``count`` says so."""

    median: float
    q1: float
    q3: float
    count: int


def spread(samples: Sequence[float]) -> Spread | None:
    """Median and quartiles by linear interpolation between order statistics; None where there is no sample.

    A sample that is not finite is a ValueError: it would sort to an arbitrary place.
    """
    if not samples:
        return None
    if not all(math.isfinite(sample) for sample in samples):
        raise ValueError("a sample is not finite")
    ordered = sorted(samples)
    # Hyndman & Fan 1996, definition 7 (NumPy's default): the quantile q lies at position q (n - 1), counted from 0.
    q1, median, q3 = (_at_position(ordered, share * (len(ordered) - 1)) for share in (0.25, 0.5, 0.75))
    return Spread(median=median, q1=q1, q3=q3, count=len(ordered))


def _at_position(ordered: list[float], position: float) -> float:
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


class StepTimer:
    """Seconds of each step on ``device``, the first ``warm_up`` of them left out.

        timer = StepTimer(device="cuda", warm_up=2)
        for batch in batches:
            with timer.step():
                ...
        timer.spread(), timer.per_second(frames_in_a_batch)

    The device is synchronised before and after each step, so that a step is charged with its own work only; that costs the
    overlap of launching one step with running the last. A step that raises is not counted.
    """

    def __init__(self, *, device: str = "cpu", warm_up: int = 0) -> None:
        if warm_up < 0:
            raise ValueError(f"warm_up counts steps and must not be negative, got {warm_up}")
        self._device, self._warm_up = device, warm_up
        self._steps = 0
        self.seconds: list[float] = []
        """Of each step after warm-up."""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time one step."""
        synchronise(self._device)
        begin = time.perf_counter()
        yield
        synchronise(self._device)
        elapsed = time.perf_counter() - begin
        self._steps += 1
        if self._steps > self._warm_up:
            self.seconds.append(elapsed)

    @property
    def total(self) -> float:
        """Seconds of all counted steps."""
        return math.fsum(self.seconds)

    def spread(self) -> Spread | None:
        """Median and quartiles of the counted steps; None where none was counted."""
        return spread(self.seconds)

    def per_second(self, units: int | float) -> float | None:
        """Throughput where a step handles ``units`` (frames, clips), from the median step; None where none was counted."""
        seconds = self.spread()
        return None if seconds is None else units / seconds.median
