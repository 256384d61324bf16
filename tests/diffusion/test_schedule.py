from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vdmbench.diffusion import SCHEDULES, NoiseSchedule, noise_schedule

PUBLISHED = Path(__file__).parents[1] / "data" / "oshima2024-layers.npz"


def test_cosine_equals_the_published_betas():
    with np.load(PUBLISHED) as arrays:
        np.testing.assert_allclose(noise_schedule("cosine", 256).betas, arrays["cosine_betas_256"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [32, 256, 1000])
def test_signal_falls_from_nearly_all_to_nearly_none(name: str, steps: int):
    schedule = noise_schedule(name, steps)
    assert schedule.steps == steps
    assert schedule.betas.dtype == np.float64
    assert np.all(np.diff(schedule.alpha_bar) < 0)
    assert schedule.alpha_bar[0] > 0.98
    assert schedule.alpha_bar[-1] < 1e-4
    np.testing.assert_allclose(schedule.alpha**2 + schedule.sigma**2, 1.0, rtol=1e-14)


@pytest.mark.parametrize("name", ["cosine", "sigmoid"])
def test_the_signal_at_half_time_does_not_depend_on_the_number_of_levels(name: str):
    halves = [noise_schedule(name, steps).alpha_bar[steps // 2 - 1] for steps in (64, 256, 1024)]
    np.testing.assert_allclose(halves, halves[0], rtol=1e-10)


def test_sigmoid_is_symmetric_about_half_time():
    schedule = noise_schedule("sigmoid", 200)
    np.testing.assert_allclose(schedule.alpha_bar[:-1] + schedule.alpha_bar[-2::-1], 1.0, rtol=1e-10)


def test_linear_at_1000_steps_is_that_of_ddpm():
    np.testing.assert_allclose(noise_schedule("linear", 1000).betas, np.linspace(1e-4, 0.02, 1000), rtol=1e-14)


def test_linear_refuses_what_would_need_a_beta_above_one():
    with pytest.raises(ValueError, match="needs more than 20 steps, got 20"):
        noise_schedule("linear", 20)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown noise schedule 'cosin', known: cosine, linear, sigmoid"):
        noise_schedule("cosin", 256)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        noise_schedule("cosine", 1)


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.1], [-0.1, 0.1], [float("nan"), 0.1]])
def test_betas_outside_the_open_unit_interval_are_refused(betas: list[float]):
    with pytest.raises(ValueError, match=r"each beta must be in \(0, 1\)"):
        NoiseSchedule(np.array(betas))


def test_betas_must_be_a_vector():
    with pytest.raises(ValueError, match="at least 2 levels"):
        NoiseSchedule(np.array([0.1]))
