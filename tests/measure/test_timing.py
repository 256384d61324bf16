from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdmbench.measure import StepTimer, spread
from vdmbench.records.schema import Spread as RecordedSpread


@given(st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=1, max_size=40))
def test_spread_is_that_of_numpy(samples: list[float]):
    found = spread(samples)
    expected = np.percentile(samples, [25, 50, 75])
    np.testing.assert_allclose([found.q1, found.median, found.q3], expected, rtol=1e-12, atol=1e-6)
    assert found.count == len(samples)


def test_no_sample_has_no_spread():
    assert spread([]) is None


def test_one_sample_says_that_it_is_one():
    assert spread([2.5]) == spread([2.5])
    found = spread([2.5])
    assert (found.median, found.q1, found.q3, found.count) == (2.5, 2.5, 2.5, 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(bad: float):
    with pytest.raises(ValueError, match="not finite"):
        spread([1.0, bad])


def test_warm_up_is_left_out():
    timer = StepTimer(warm_up=1)
    for pause in (0.05, 0.005, 0.005):
        with timer.step():
            time.sleep(pause)
    assert timer.spread().count == 2
    assert max(timer.seconds) < 0.05
    assert timer.total == pytest.approx(sum(timer.seconds))


def test_throughput_is_units_of_a_step_over_the_median_step():
    timer = StepTimer()
    for _ in range(3):
        with timer.step():
            time.sleep(0.002)
    assert timer.per_second(64) == pytest.approx(64 / timer.spread().median)


def test_steps_that_were_all_warm_up_give_none():
    timer = StepTimer(warm_up=2)
    with timer.step():
        pass
    assert timer.spread() is None
    assert timer.per_second(8) is None
    assert timer.total == 0


def test_a_step_that_raises_is_not_counted():
    timer = StepTimer()
    with pytest.raises(KeyError), timer.step():
        raise KeyError
    assert timer.seconds == []


def test_negative_warm_up_is_refused():
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        StepTimer(warm_up=-1)


def test_a_spread_is_what_a_record_holds():
    found = spread([1.0, 2.0, 4.0])
    assert RecordedSpread(median=found.median, q1=found.q1, q3=found.q3, count=found.count).median == 2.0


@pytest.mark.gpu
def test_a_step_is_charged_with_its_kernels():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    timer = StepTimer(device="cuda", warm_up=1)
    matrix = torch.randn(8192, 8192, device="cuda")
    for _ in range(3):
        with timer.step():
            begin = time.perf_counter()
            matrix @ matrix
            launched = time.perf_counter() - begin
    assert timer.spread().median > 2 * launched
