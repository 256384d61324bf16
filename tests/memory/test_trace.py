"""Traces from PyTorch's own snapshots of its allocator."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from vdmbench.memory.allocator import replay
from vdmbench.memory.trace import EMPTY_CACHE, Event, MemoryTrace, Phase, from_snapshot, reserved_in_snapshot

MIB = 1 << 20
RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json.gz"))


def entry(action: str, address: int, size: int) -> dict[str, object]:
    """As ``torch.cuda.memory._snapshot()`` has them, less what is not read."""
    return {"action": action, "addr": address, "size": size, "stream": 0, "time_us": 0}


SNAPSHOT = {
    "segments": [],
    "device_traces": [
        [
            entry("segment_alloc", 0x1000, 2 * MIB),
            entry("alloc", 0x1000, 700),
            entry("alloc", 0x1400, 100),
            entry("free_requested", 0x1000, 700),
            entry("free_completed", 0x1000, 700),
            entry("alloc", 0x1000, 300),  # the same address, another storage
            entry("segment_alloc", 0x900000, 12 * MIB),
            entry("alloc", 0x900000, 11 * MIB),
            entry("free_requested", 0x900000, 11 * MIB),
            entry("free_completed", 0x900000, 11 * MIB),
            entry("segment_free", 0x900000, 12 * MIB),
            entry("segment_alloc", 0x900000, 14 * MIB),
            entry("alloc", 0x900000, 14 * MIB),
        ],
        [],
    ],
}


def test_a_snapshot_becomes_a_trace():
    trace = from_snapshot(SNAPSHOT)
    assert list(trace) == [
        Event(1, 700), Event(2, 100), Event(1, -700), Event(3, 300), Event(4, 11 * MIB), Event(4, -11 * MIB),
        Event(EMPTY_CACHE, 0), Event(5, 14 * MIB),
    ]  # fmt: skip
    assert trace.requested_peak() == 14 * MIB + 400
    assert from_snapshot(SNAPSHOT, device=1).events == []


def test_a_replayed_snapshot_reserves_what_was_recorded():
    trace = from_snapshot(SNAPSHOT)
    trace.phases.append(Phase("all", 0, len(trace.events)))
    replayed = replay(trace)["all"]
    assert reserved_in_snapshot(SNAPSHOT) == replayed.reserved_peak == 16 * MIB
    assert replayed.allocated_peak == 14 * MIB + 2 * 512


def test_a_recording_begun_too_late_says_so():
    late = {"device_traces": [[entry("free_completed", 0x40, 700)]]}
    with pytest.raises(ValueError, match="frees 700 bytes at 0x40 that it never saw allocated: begin recording before"):
        from_snapshot(late)


def test_the_peak_of_a_phase_counts_what_was_alive_before():
    trace = MemoryTrace([Event(1, 10), Event(2, 20), Event(2, -20), Event(3, 5)], {}, [Phase("late", 2, 4)])
    assert trace.requested_peak() == 30
    assert trace.requested_peak(trace.phases[0]) == 30
    assert trace.requested_peak(Phase("last", 3, 4)) == 15


@pytest.mark.skipif(not RECORDED, reason="no recording of a CUDA allocator is kept here: `make bench-gpu` on a GPU makes one")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_allocator_is_met(recording):
    snapshot = json.loads(gzip.decompress(recording.read_bytes()))
    trace = from_snapshot(snapshot)
    trace.phases.append(Phase("all", 0, len(trace.events)))
    replayed = replay(trace)["all"]
    assert replayed.reserved_peak == pytest.approx(reserved_in_snapshot(snapshot), rel=0.01)
    assert replayed.allocated_peak == pytest.approx(snapshot["allocated_peak_bytes"], rel=0.001)
