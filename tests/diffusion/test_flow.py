from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.diffusion.gaussian import noise_of
from vdmbench.diffusion import FlowMatching


def drawn(process: FlowMatching, clips: int = 100_000) -> Tensor:
    return process.draw_levels(clips, 4, torch.Generator().manual_seed(0))


def test_the_target_is_the_derivative_of_the_path():
    x0, noise = noise_of(0, 2, 3, 4).unbind()
    process = FlowMatching()
    moved = [process.corrupt(x0, torch.full((3,), t, dtype=torch.float64), noise) for t in (0.3, 0.300001)]
    target = process.parameterisation.target(x0, noise, 0.7, 0.3)
    torch.testing.assert_close((moved[1] - moved[0]) / 1e-6, target, rtol=0, atol=1e-8)
    torch.testing.assert_close(process.parameterisation.x0(target, moved[0], 0.7, 0.3), x0)


def test_the_loss_of_the_true_velocity_is_zero_and_the_network_is_told_a_thousand_t():
    x0, noise = noise_of(1, 2, 3, 4).unbind()
    t = torch.tensor([0.0, 0.25, 1.0])
    told: list[Tensor] = []

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        told.append(time)
        return noise - x0

    assert FlowMatching().loss(velocity, x0, t, noise).abs().max() == 0
    assert torch.equal(told[0], torch.tensor([0.0, 250.0, 1000.0]))


def test_uniform_times_are_uniform():
    t = drawn(FlowMatching())
    assert 0 <= t.min() < t.max() < 1
    assert t.mean().item() == pytest.approx(1 / 2, abs=0.005)
    assert t.var().item() == pytest.approx(1 / 12, abs=0.002)


def test_logit_normal_times_have_a_normal_logit():
    logit = drawn(FlowMatching(timestep_sampling="logit-normal", logit_mean=0.5, logit_std=2.0)).logit()
    assert logit.mean().item() == pytest.approx(0.5, abs=0.03)
    assert logit.std().item() == pytest.approx(2.0, abs=0.03)


def test_a_shift_multiplies_the_odds_of_noise_in_training_and_sampling():
    # Esser et al. 2024, Eq. 23: t' / (1 - t') = shift t / (1 - t).
    plain, shifted = FlowMatching(), FlowMatching(shift=3.0)
    t, moved = drawn(plain).double(), drawn(shifted).double()
    torch.testing.assert_close(moved * (1 - t), 3.0 * t * (1 - moved), rtol=0, atol=1e-6)
    assert plain.visited(4) == [1.0, 0.75, 0.5, 0.25]
    assert shifted.visited(4) == pytest.approx([1.0, 0.9, 0.75, 0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestep_sampling": "cosine"}, "must be 'uniform' or 'logit-normal', got 'cosine'"),
        ({"shift": 0.0}, "shift and logit_std must be positive"),
        ({"levels": "pixel"}, "levels must be 'clip' or 'frame', got 'pixel'"),
    ],
)
def test_what_it_cannot_be_is_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        FlowMatching(**options)
