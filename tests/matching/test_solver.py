"""The searches return the reachable value that is closest to the target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdmbench.matching.solver import WIDTHS, Unreachable, bracket, check_within, multiples, shortest_decimal


@given(st.integers(1, 10**9), st.sampled_from([1, 4, 8]), st.integers(1, 9), st.integers(0, 10**6), st.integers(1, 1024))
def test_multiples_against_trying_all(target, step, slope, offset, start):
    def quantity(setting):
        return slope * setting * setting + offset

    found = bracket(quantity, target, multiples(step, 1024), start).closest(target)
    tried = min((abs(quantity(setting) - target), quantity(setting)) for setting in range(step, 1025, step))
    assert (abs(found.value - target), found.value) == tried
    assert found.setting % step == 0


@given(st.integers(1, 200_000), st.sampled_from([(16, 32), (24, 48, 96), (64,)]))
def test_widths_against_trying_every_step(target, channels):
    def quantity(width):
        inner = [max(1, int(width * each / 8 + 0.5)) * 8 for each in channels]
        return sum(each * size for each, size in zip(inner, channels, strict=True))

    found = bracket(quantity, target, WIDTHS, 1.0).closest(target)
    # Widths between neighbouring steps of the finest staircase, over the range that the search covers.
    finest = 8 / max(channels)
    reachable = {quantity(index * finest / 4) for index in range(1, int(4 * 256 / finest)) if index * finest / 4 >= 2**-6}
    assert found.value in reachable
    assert abs(found.value - target) == min(abs(value - target) for value in reachable)
    assert quantity(found.setting) == found.value


def test_the_setting_is_a_short_decimal():
    def inner(width):
        return int(width * 64 / 8 + 0.5) * 8

    found = bracket(inner, 100, WIDTHS, 1.0).closest(100)
    assert found.value == 96
    short = shortest_decimal(found.setting, lambda width: inner(width) == 96)
    assert len(f"{short:g}") <= 4
    assert inner(short) == 96


def test_out_of_tolerance_names_the_closest():
    assert check_within(102, 100, 0.02, "it", "here") == pytest.approx(0.02)
    with pytest.raises(
        Unreachable, match=r"it cannot reach 1,000 within 2 %; the closest is 1,100 \(\+10.0 %\) at base_channels 8"
    ):
        check_within(1100, 1000, 0.02, "it", "base_channels 8")


@pytest.mark.parametrize(("value", "target"), [(100, 100), (100, 5), (100, 10**6), (0, 7)])
def test_a_quantity_that_does_not_move_is_found_out_soon(value, target):
    tried = []

    def quantity(setting):
        tried.append(setting)
        return value

    found = bracket(quantity, target, WIDTHS, 1.0)
    assert found.flat
    assert len(tried) < 30


def test_a_quantity_that_moves_is_not_flat():
    assert not bracket(lambda setting: 10 * setting, 55, multiples(1, 100), 5).flat
    beyond = bracket(lambda setting: 10 * setting, 5000, multiples(1, 100), 5)
    assert (beyond.below.value, beyond.above, beyond.flat) == (1000, None, False)


def test_few_evaluations_find_a_power_law():
    tried = []

    def memory(setting):
        tried.append(setting)
        return 10**8 + 3 * 10**5 * setting**1.7

    found = bracket(lambda setting: int(memory(setting)), 16 * 2**30, multiples(8, 1 << 14), 64)
    assert found.below.value <= 16 * 2**30 < found.above.value
    assert found.above.setting - found.below.setting == 8
    assert len(tried) <= 8


def test_memory_that_ran_out_is_above_every_target():
    found = bracket(lambda setting: 10 * setting if setting < 37 else None, 10**6, multiples(1, 1000), 500)
    assert (found.below.setting, found.above.setting, found.above.value) == (36, 37, None)
    assert found.closest(10**6).setting == 36
    with pytest.raises(Unreachable, match="nothing that was tried has a value: every setting ran out of memory"):
        bracket(lambda setting: None, 5, multiples(1, 10), 3).closest(5)
