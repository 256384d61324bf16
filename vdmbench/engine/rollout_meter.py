"""What a rollout takes while it goes on: seconds a frame, and memory against frames made."""

from __future__ import annotations

from dataclasses import asdict

import psutil
import torch

from vdmbench.measure import spread
from vdmbench.networks.streaming import Stream
from vdmbench.records import Rollout, Spread

MOST_POINTS = 200


class RolloutMeter:
    """Hears of every chunk; keeps at most 200 points of the first batch, evenly over its ``frames``, and all latencies."""

    def __init__(self, frames: int, device: torch.device) -> None:
        self._every = -(-frames // MOST_POINTS)
        self._frames, self._device = frames, device
        self._process = psutil.Process()
        self._latencies: list[float] = []
        self._since: list[float] = []  # latencies since the last point
        self._first: float | None = None
        self._points: list[tuple[int, float, int, int | None, int, int]] = []

    def made(self, batch: int, end: int, frames: int, seconds: float, stream: Stream) -> None:
        """A chunk of so many ``frames`` of that batch was made in that time; ``end`` frames there are now."""
        latency = seconds / frames
        if self._first is None:  # it finds no kernel warm: apart from the others
            self._first = seconds
        else:
            self._latencies.append(latency)
        if batch > 0:
            return
        self._since.append(latency)
        last = self._points[-1][0] if self._points else 0
        if end == self._frames or end // self._every > last // self._every or not self._points:
            allocated = torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else None
            typical = spread(self._since)
            assert typical is not None
            rss = self._process.memory_info().rss
            self._points.append((end, typical.median, rss, allocated, stream.nbytes, stream.elements))
            self._since.clear()

    def record(self, *, chunk: int, clips: int) -> Rollout:
        """What was found."""
        assert self._first is not None, "a rollout has a chunk"
        at, seconds, rss, allocated, state_bytes, state_elements = map(list, zip(*self._points, strict=True))
        rest = spread(self._latencies)
        return Rollout(
            chunk=chunk,
            clips=clips,
            first_chunk_seconds=self._first,
            frame_seconds=Spread(**asdict(rest)) if rest else None,
            at=at,
            seconds=seconds,
            rss_bytes=rss,
            allocated_bytes=allocated if self._device.type == "cuda" else None,
            state_bytes=state_bytes,
            state_elements=state_elements,
        )
