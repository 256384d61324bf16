from __future__ import annotations

import pytest
import torch

from vdmbench.diffusion import PARAMETERISATIONS
from vdmbench.diffusion.parameterisation import noise_in, parameterisation


@pytest.mark.parametrize("name", PARAMETERISATIONS)
@pytest.mark.parametrize("alpha", [0.999, 0.6, 0.01])
def test_a_perfect_prediction_gives_back_clip_and_noise(name: str, alpha: float):
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).unbind()
    sigma = (1 - alpha**2) ** 0.5
    x = alpha * x0 + sigma * noise
    chosen = PARAMETERISATIONS[name]
    recovered = chosen.x0(chosen.target(x0, noise, alpha, sigma), x, alpha, sigma)
    torch.testing.assert_close(recovered, x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(noise_in(x, recovered, alpha, sigma), noise, rtol=1e-9, atol=1e-9)


def test_velocity_is_the_derivative_of_the_clip_along_the_angle():
    # Salimans & Ho 2022, Appendix D: with alpha = cos phi and sigma = sin phi, v = dx / dphi.
    x0, noise = torch.randn(2, 1, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).unbind()
    phi = torch.tensor(0.7, dtype=torch.float64)
    _, derivative = torch.autograd.functional.jvp(
        lambda angle: torch.cos(angle) * x0 + torch.sin(angle) * noise, phi, torch.ones_like(phi)
    )
    velocity = PARAMETERISATIONS["v"].target(x0, noise, torch.cos(phi), torch.sin(phi))
    torch.testing.assert_close(velocity, derivative)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown parameterisation 'eps', known: epsilon, v, x0"):
        parameterisation("eps")
