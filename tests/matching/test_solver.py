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
