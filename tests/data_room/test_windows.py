from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vdmbench.data.source import DataError
from vdmbench.data.windows import Window, Windows


def test_training_windows_are_a_pure_function_of_seed_step_and_position() -> None:
    first, second = Windows([30, 50, 20], 10), Windows([30, 50, 20], 10)
    forwards = [first.training(3, step, position) for step in range(20) for position in range(4)]
    backwards = [second.training(3, step, position) for step in reversed(range(20)) for position in reversed(range(4))]
    assert forwards == backwards[::-1]


def test_seed_step_and_position_each_give_other_windows() -> None:
    windows = Windows([10_000] * 10, 16)
    draws = {windows.training(seed, step, position) for seed in range(5) for step in range(10) for position in range(10)}
    assert len(draws) > 490


def test_every_window_is_equally_likely_and_none_is_out_of_range() -> None:
    windows = Windows([5, 9, 4], 4)
    seen = Counter(windows.training(0, step, position) for step in range(500) for position in range(18))
    expected = {Window(0, start) for start in range(2)} | {Window(1, start) for start in range(6)} | {Window(2, 0)}
    assert set(seen) == expected
    assert len(windows) == 9
    counts = np.array(list(seen.values()))
    assert np.sum((counts - 1000) ** 2 / 1000) < 26.1  # chi-squared, 8 degrees of freedom, p = 0.001


def test_neighbouring_draws_are_independent() -> None:
    windows = Windows([10_000], 1)
    starts = np.array([[windows.training(0, step, position).start for position in range(40)] for step in range(50)], float)
    assert abs(np.corrcoef(starts[:, :-1].ravel(), starts[:, 1:].ravel())[0, 1]) < 0.08
    assert abs(np.corrcoef(starts[:-1].ravel(), starts[1:].ravel())[0, 1]) < 0.08


def test_reference_takes_distinct_videos_then_disjoint_windows_then_overlapping_ones() -> None:
    windows = Windows([4, 9, 12], 4)
    assert windows.disjoint == 6
    order = windows.reference(len(windows))
    assert order[:3] == [Window(0, 0), Window(1, 0), Window(2, 0)]
    assert order[3:6] == [Window(1, 4), Window(2, 4), Window(2, 8)]
    assert order[6] == Window(1, 2)  # the first that overlaps, half a window on
    assert len(set(order)) == len(order) == 1 + 6 + 9
    assert all(window.start + 4 <= length for window in order for length in [(4, 9, 12)[window.video]])


@pytest.mark.parametrize("frames", [1, 2, 5, 7, 12])
def test_reference_lists_every_window_once(frames: int) -> None:
    windows = Windows([12, 31, 17], frames)
    order = windows.reference(len(windows))
    assert len(set(order)) == len(windows)
    taken = [(window.video, window.start + frame) for window in order[: windows.disjoint] for frame in range(frames)]
    assert len(set(taken)) == len(taken)


def test_reference_of_fewer_is_the_beginning_of_reference_of_more() -> None:
    windows = Windows([40] * 10, 8)
    assert windows.reference(30)[:7] == windows.reference(7)


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(DataError, match=r"4 reference clips of 8 frames .* 2 videos hold 3 \(2 without overlap\)"):
        Windows([8, 9], 8).reference(4)
    with pytest.raises(DataError, match="video 1 has 7 frames, and windows of 8"):
        Windows([8, 7], 8)
    with pytest.raises(DataError, match="no videos"):
        Windows([], 8)
