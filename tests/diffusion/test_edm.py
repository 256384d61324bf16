from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.diffusion.gaussian import noise_of
from vdmbench.diffusion import EDM

SIGMA = torch.tensor([0.002, 0.1, 0.5, 3.0, 80.0], dtype=torch.float64)


def network(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x + t.view(-1, *(1,) * (x.ndim - 1)))


def test_the_loss_is_the_published_one():
    """E lambda(sigma) |D(x0 + n; sigma) - x0|^2 (Karras et al. 2022, Eq. 2, and Table 1), with D written out."""
    x0, noise = noise_of(0, 2, 5, 3, 4).unbind()
    data = 0.7
    process = EDM(sigma_data=data)
    sigma = SIGMA.view(-1, 1, 1)
    x = x0 + sigma * noise
    c_skip = data**2 / (sigma**2 + data**2)
    c_out = sigma * data / (data**2 + sigma**2).sqrt()
    c_in = 1 / (sigma**2 + data**2).sqrt()
    denoised = c_skip * x + c_out * network(c_in * x, SIGMA.log() / 4)
    weight = (sigma**2 + data**2) / (sigma * data) ** 2
    expected = (weight * (denoised - x0).square()).mean(dim=(1, 2))
    torch.testing.assert_close(process.loss(network, x0, SIGMA, noise), expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(process.denoise(network, x, SIGMA), denoised)
    torch.testing.assert_close(process.denoise(network, x[3:4], 3.0), denoised[3:4])


def test_input_and_target_of_the_network_have_unit_variance_at_every_level():
    x0, noise = noise_of(1, 2, 5, 100_000).unbind()
    x0 = 0.5 * x0
    process, given = EDM(), []

    def kept(x: Tensor, t: Tensor) -> Tensor:
        given.append(x)
        return torch.zeros_like(x)

    mean_square_of_target = process.loss(kept, x0, SIGMA, noise)
    torch.testing.assert_close(mean_square_of_target, torch.ones_like(SIGMA), rtol=0, atol=0.02)
    torch.testing.assert_close(given[0].var(dim=1), torch.ones_like(SIGMA), rtol=0, atol=0.02)


def test_training_draws_a_log_normal_sigma():
    log_sigma = EDM(p_mean=-0.4, p_std=1.0).draw_levels(100_000, 4, torch.Generator().manual_seed(0)).log()
    assert log_sigma.mean().item() == pytest.approx(-0.4, abs=0.02)
    assert log_sigma.std().item() == pytest.approx(1.0, abs=0.02)


def test_frames_that_are_given_are_told_a_level_that_training_draws():
    """One in 44 draws lies below it; of sigma_min, which is four deviations out, one in 30,000."""
    process = EDM()
    drawn = process.draw_levels(200_000, 1, torch.Generator().manual_seed(0))
    assert process.clean == pytest.approx(0.0273, abs=1e-4)
    assert (drawn < process.clean).double().mean().item() == pytest.approx(0.0228, abs=0.002)
    assert (drawn < process.sigma_min).double().mean().item() < 1e-4
    assert EDM(sigma_min=0.5).clean == 0.5


def test_sampling_goes_from_the_largest_sigma_to_the_smallest():
    levels = EDM().visited(18)
    assert len(levels) == 18
    assert (levels[0], levels[-1]) == pytest.approx((80.0, 0.002))
    assert levels == sorted(levels, reverse=True)
    assert EDM().visited(1) == pytest.approx([80.0])
    assert EDM(rho=1.0).visited(3) == pytest.approx([80.0, 40.001, 0.002])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma_min": 1.0, "sigma_max": 0.5}, "sigma_min must be positive and less than sigma_max, got 1.0 and 0.5"),
        ({"sigma_data": 0.0}, "must be positive, got 0.0"),
    ],
)
def test_what_it_cannot_be_is_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        EDM(**options)
