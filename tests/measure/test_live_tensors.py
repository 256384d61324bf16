"""The CPU allocator's count against allocations of known size."""

from __future__ import annotations

import torch

from vdmbench.measure.live_tensors import LiveTensors

KIB = 1024


def held(kib: int) -> torch.Tensor:
    return torch.empty(kib * KIB, dtype=torch.uint8)


def test_the_peak_of_each_phase_is_the_most_that_lived_in_it() -> None:
    before = held(999)  # alive before anything is counted
    with LiveTensors() as live:
        kept = held(100)
        with live.phase("train"):
            moment = held(700)
            del moment
            other = held(300)
        with live.phase("sample"):
            more = held(50)
            del other
        late = held(5000)  # within no phase
    assert live.peaks["train"] == 800 * KIB
    assert live.peaks["sample"] == 450 * KIB
    del before, kept, more, late


def test_what_a_kernel_takes_for_a_moment_is_seen() -> None:
    x = torch.ones(64, 64, 64)
    with LiveTensors() as live, live.phase("sum"):
        total = (x * 2).sum()
    assert x.nbytes <= live.peaks["sum"] <= x.nbytes + 4 * KIB
    assert total == 2 * x.numel()


def test_what_was_freed_and_had_lived_before_the_count_changes_nothing() -> None:
    before = held(4000)
    with LiveTensors() as live, live.phase("train"):
        del before
        kept = held(10)
    assert live.peaks["train"] == 10 * KIB
    del kept


def test_a_phase_that_allocates_nothing_holds_what_lives() -> None:
    with LiveTensors() as live:
        kept = held(20)
        with live.phase("train"):
            pass
    assert 20 * KIB <= live.peaks["train"] <= 20 * KIB + 64
    del kept


def test_a_block_of_an_earlier_count_that_was_freed_in_between_takes_nothing_off() -> None:
    mapped = 40 * KIB  # so large that the C library maps it by itself, and gives the next one its address
    with LiveTensors():
        earlier = held(mapped)
    address = earlier.data_ptr()
    del earlier
    again = [held(mapped) for _ in range(10)]
    assert address in {block.data_ptr() for block in again}, "the allocator took another address: the fault is not set up"
    with LiveTensors() as live, live.phase("train"):
        del again
        kept = held(10)
    assert live.peaks["train"] == 10 * KIB
    del kept
