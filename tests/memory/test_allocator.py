"""The model of CUDA's caching allocator: each of its rules in numbers worked by hand, and what always holds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vdmbench.memory.allocator import CachingAllocator, OutOfDeviceMemory, least_capacity, replay
from vdmbench.memory.trace import EMPTY_CACHE, Event, MemoryTrace, Phase

KIB, MIB = 1 << 10, 1 << 20


def after(*requests: int, capacity: int | None = None) -> CachingAllocator:
    """Positive numbers are allocated, as storages 1, 2, ...; a negative one frees that storage."""
    allocator = CachingAllocator(capacity)
    storage = 0
    for request in requests:
        if request > 0:
            storage += 1
            allocator.allocate(storage, request)
        else:
            allocator.release(-request)
    return allocator


@pytest.mark.parametrize(("asked", "allocated"), [(0, 0), (1, 512), (512, 512), (513, 1024), (100_000, 100_352)])
def test_rule_1_requests_are_rounded_up_to_512_bytes(asked, allocated):
    assert after(asked or -1).allocated == allocated


@pytest.mark.parametrize(
    ("asked", "reserved"),
    [
        (512, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 1, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (10 * MIB + 1, 12 * MIB),
        (33 * MIB, 34 * MIB),
    ],
)
def test_rules_2_and_4_pools_and_their_segments(asked, reserved):
    assert after(asked).reserved == reserved


def test_rule_2_pools_do_not_lend_to_each_other():
    # 18 MiB are free in the large pool, and a small request takes a segment of its own all the same.
    assert after(2 * MIB, 1 * MIB).reserved == 22 * MIB


def test_rule_3_the_smallest_block_that_is_large_enough():
    allocator = after(30 * MIB, 12 * MIB, 16 * MIB, -1, -2, -3, 11 * MIB + 512)
    assert allocator.reserved == 58 * MIB
    assert allocator.allocated == 12 * MIB


def test_rule_3_the_lowest_address_among_equals():
    allocator = after(12 * MIB, 12 * MIB)
    first = allocator.live()[1]
    allocator.release(2)
    allocator.release(1)
    allocator.allocate(3, 12 * MIB)
    assert allocator.live() == {3: first}


def test_rule_5_small_blocks_always_split():
    assert after(MIB, MIB).reserved == 2 * MIB
    assert after(MIB, MIB - 512, 512).reserved == 2 * MIB
    assert after(MIB, MIB, 512).reserved == 4 * MIB


def test_rule_5_large_blocks_split_above_a_mebibyte():
    # 20 MiB: 2, then 17 of the 18 that are left; 1 MiB more is not split off and counts as allocated.
    allocator = after(2 * MIB, 17 * MIB)
    assert (allocator.reserved, allocator.allocated) == (20 * MIB, 20 * MIB)
    # 512 bytes less, and the rest is split off.
    allocator = after(2 * MIB, 17 * MIB - 512)
    assert (allocator.reserved, allocator.allocated) == (20 * MIB, 19 * MIB - 512)


def test_rule_6_freed_neighbours_merge():
    split = (6 * MIB, 6 * MIB, 6 * MIB, -1, -3)  # free: 6 MiB, and 6 + 2 MiB
    assert after(*split, 8 * MIB).reserved == 20 * MIB
    assert after(*split, 8 * MIB + 512).reserved == 40 * MIB
    assert after(*split, -2, 19 * MIB).reserved == 20 * MIB


def test_rule_6_freed_blocks_are_kept():
    allocator = after(12 * MIB, -1)
    assert (allocator.allocated, allocator.reserved) == (0, 12 * MIB)
    allocator.empty_cache()
    assert allocator.reserved == 0


def test_rule_7_cached_segments_are_given_back_where_there_is_no_room():
    allocator = after(20 * MIB, -1, 24 * MIB, capacity=30 * MIB)
    assert (allocator.reserved, allocator.retries) == (24 * MIB, 1)
    # A segment with a live block is not given back, however little of it is used.
    with pytest.raises(OutOfDeviceMemory, match="19,922,944 bytes do not fit: 20,971,520 of 31,457,280 are reserved, 2,"):
        after(2 * MIB, 19 * MIB, capacity=30 * MIB)


_SIZES = st.one_of(st.integers(1, 4 * KIB), st.integers(1, 3 * MIB), st.integers(1, 40 * MIB))


@st.composite
def traces(draw: st.DrawFn) -> MemoryTrace:
    """Births, deaths and emptied caches in any order, as one phase."""
    trace = MemoryTrace()
    alive: list[Event] = []
    for step in draw(st.lists(st.one_of(_SIZES, st.just(0), st.integers(-1000, -1)), min_size=1, max_size=60)):
        if step > 0:
            born = Event(len(trace.owners) + 1, step)
            trace.owners[born.storage] = draw(st.sampled_from(["parameters", "gradients"]))
            alive.append(born)
            trace.events.append(born)
        elif step == 0:
            trace.empty_cache()
        elif alive:
            dead = alive.pop(step % len(alive))
            trace.events.append(Event(dead.storage, -dead.nbytes))
    trace.phases.append(Phase("all", 0, len(trace.events)))
    return trace


@given(traces())
@settings(max_examples=60)
def test_what_always_holds(trace):
    allocator = CachingAllocator()
    alive: dict[int, int] = {}
    for storage, nbytes in trace.events:
        if storage == EMPTY_CACHE:
            allocator.empty_cache()
        elif nbytes > 0:
            allocator.allocate(storage, nbytes)
            alive[storage] = nbytes
        else:
            allocator.release(storage)
            del alive[storage]
        blocks = allocator.live()
        assert allocator.reserved >= allocator.allocated == sum(map(len, blocks.values())) >= sum(alive.values())
        assert all(len(blocks[storage]) >= nbytes for storage, nbytes in alive.items())
        ordered = sorted(blocks.values(), key=lambda block: block.start)
        assert all(one.stop <= other.start for one, other in pairwise(ordered))
    for storage in list(alive):
        allocator.release(storage)
    assert allocator.allocated == 0
    allocator.empty_cache()
    assert allocator.reserved == 0


@given(traces())
@settings(max_examples=40)
def test_a_replay_is_repeatable_and_its_holders_sum_to_the_peak(trace):
    replayed = replay(trace)
    assert replayed == replay(trace)
    peaks = replayed["all"]
    assert sum(peaks.holders.values()) == peaks.allocated_peak
    assert peaks.reserved_peak >= peaks.allocated_peak >= trace.requested_peak()


@given(traces())
@settings(max_examples=40)
def test_the_least_capacity_suffices(trace):
    capacity = least_capacity(trace, trace.phases[0])
    peaks = replay(trace, capacity=capacity)["all"]
    assert peaks.allocated_peak <= peaks.reserved_peak <= capacity


def test_less_than_the_least_capacity_does_not_suffice():
    # 30 MiB are kept when 40 are asked for: 70 where there is room, 40 where there is not.
    trace = MemoryTrace([Event(1, 30 * MIB), Event(1, -30 * MIB), Event(2, 40 * MIB)], {1: "a", 2: "a"}, [Phase("all", 0, 3)])
    assert replay(trace)["all"].reserved_peak == 70 * MIB
    capacity = least_capacity(trace, trace.phases[0])
    assert 40 * MIB <= capacity <= 40.5 * MIB
    replay(trace, capacity=capacity)
    with pytest.raises(OutOfDeviceMemory, match="41,943,040 bytes do not fit"):
        replay(trace, capacity=int(0.98 * capacity))


def test_peaks_are_those_of_each_phase():
    trace = MemoryTrace(
        [Event(1, MIB), Event(2, 12 * MIB), Event(2, -12 * MIB), Event(EMPTY_CACHE, 0), Event(3, MIB)],
        {1: "weights", 2: "activations", 3: "activations"},
        [Phase("train", 1, 3), Phase("sample", 4, 5)],
    )
    replayed = replay(trace)
    assert (replayed["train"].allocated_peak, replayed["train"].reserved_peak) == (13 * MIB, 14 * MIB)
    assert (replayed["sample"].allocated_peak, replayed["sample"].reserved_peak) == (2 * MIB, 2 * MIB)
    assert replayed["train"].holders == {"activations": 12 * MIB, "weights": MIB}
    assert least_capacity(trace, trace.phases[1]) == 2 * MIB
