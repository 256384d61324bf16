from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from vdmbench.diffusion import PARAMETERISATIONS, SCHEDULES, Diffusion

SHAPE = (6, 4, 3, 5, 5)


def clips_noise_levels(steps: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x0, noise = torch.randn(2, *SHAPE, generator=generator, dtype=dtype).unbind()
    return x0, noise, torch.tensor([0, 1, steps // 3, steps // 2, steps - 2, steps - 1])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_noising_and_loss_agree_with_diffusers(schedule: str, parameterisation: str):
    diffusion = Diffusion(schedule=schedule, parameterisation=parameterisation, steps=64)
    peer = DDPMScheduler(64, trained_betas=diffusion.schedule.betas.tolist())
    x0, noise, t = clips_noise_levels(64)

    def denoiser(x: Tensor, level: Tensor) -> Tensor:
        return torch.tanh(0.5 * x + 0.01 * level.view(-1, 1, 1, 1, 1))

    noisy = peer.add_noise(x0, noise, t)
    torch.testing.assert_close(diffusion.corrupt(x0, t, noise), noisy, rtol=0, atol=1e-5)
    target = {"epsilon": noise, "v": peer.get_velocity(x0, noise, t), "x0": x0}[parameterisation]
    expected = torch.stack([nn.functional.mse_loss(denoiser(noisy, t)[i], target[i]) for i in range(len(t))])
    torch.testing.assert_close(diffusion.loss(denoiser, x0, t, noise), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_the_loss_of_a_perfect_denoiser_is_zero(parameterisation: str):
    diffusion = Diffusion(parameterisation=parameterisation, steps=64)
    x0, noise, t = clips_noise_levels(64)
    alpha = torch.tensor(diffusion.schedule.alpha)[t].view(-1, 1, 1, 1, 1)
    sigma = torch.tensor(diffusion.schedule.sigma)[t].view(-1, 1, 1, 1, 1)
    target = PARAMETERISATIONS[parameterisation].target(x0, noise, alpha, sigma)
    losses = diffusion.loss(lambda x, t: target, x0, t, noise)
    torch.testing.assert_close(losses, torch.zeros_like(losses))


@pytest.mark.parametrize("shape", [(3, 8), (3, 4, 8), (3, 2, 3, 4, 4)])
def test_any_layout_with_a_leading_batch_axis(shape: tuple[int, ...]):
    generator = torch.Generator().manual_seed(3)
    diffusion = Diffusion(steps=16)
    x0, noise = torch.randn(2, *shape, generator=generator).unbind()
    t = diffusion.draw_levels(3, 4, generator)
    assert diffusion.corrupt(x0, t, noise).shape == shape
    assert diffusion.loss(lambda x, t: x, x0, t, noise).shape == (3,)


def test_timesteps_are_uniform_and_reproducible():
    diffusion = Diffusion(steps=8)
    t = diffusion.draw_levels(80_000, 4, torch.Generator().manual_seed(0))
    assert t.dtype == torch.int64
    assert t.min() == 0
    assert t.max() == 7
    counts = torch.bincount(t, minlength=8).double()
    assert (counts / 10_000 - 1).abs().max() < 0.05
    assert torch.equal(t, diffusion.draw_levels(80_000, 4, torch.Generator().manual_seed(0)))


def test_loss_is_float32_under_autocast_and_close_to_full_precision():
    torch.manual_seed(0)
    layer = nn.Linear(8, 8)
    diffusion = Diffusion(parameterisation="v", steps=32)
    generator = torch.Generator().manual_seed(4)
    x0, noise = torch.randn(2, 5, 3, 8, generator=generator).unbind()
    t = diffusion.draw_levels(5, 4, generator)
    exact = diffusion.loss(lambda x, t: layer(x), x0, t, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = diffusion.loss(lambda x, t: layer(x), x0, t, noise)
    assert lowered.dtype == torch.float32
    torch.testing.assert_close(lowered, exact, rtol=2e-2, atol=2e-2)
    lowered.mean().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_bfloat16_clips_are_noised_in_float32_and_rounded_once():
    diffusion = Diffusion(steps=64)
    x0, noise, t = clips_noise_levels(64, torch.float32)
    x0, noise = x0.bfloat16(), noise.bfloat16()
    noisy = diffusion.corrupt(x0, t, noise)
    assert noisy.dtype == torch.bfloat16
    assert torch.equal(noisy, diffusion.corrupt(x0.float(), t, noise.float()).bfloat16())
    assert diffusion.loss(lambda x, t: x, x0, t, noise).dtype == torch.float32


def test_a_prediction_that_would_broadcast_is_refused():
    diffusion = Diffusion(steps=16)
    x0 = torch.zeros(2, 4, 3)
    with pytest.raises(ValueError, match=r"shape of its input, \(2, 4, 3\), got \(2, 1, 3\)"):
        diffusion.loss(lambda x, t: x[:, :1], x0, torch.zeros(2, dtype=torch.int64), x0)


def test_training_step_runs_under_fake_tensors():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        diffusion = Diffusion(steps=16)
        x0 = torch.randn(2, 4, 3)
        losses = diffusion.loss(lambda x, t: x, x0, torch.zeros(2, dtype=torch.int64), torch.randn(2, 4, 3))
        assert losses.shape == (2,)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_min_snr_weights_the_error_of_the_prediction(parameterisation: str):
    """Hang et al. 2023, Section 3.4: min(SNR, gamma) on x0, that over SNR on epsilon, that over SNR + 1 on v."""
    plain, weighted = (Diffusion(parameterisation=parameterisation, steps=64, min_snr_gamma=gamma) for gamma in (None, 5.0))
    x0, noise, t = clips_noise_levels(64)
    snr = torch.tensor(plain.schedule.alpha_bar / (1 - plain.schedule.alpha_bar))[t]
    weight = snr.clamp(max=5.0) / {"epsilon": snr, "v": snr + 1, "x0": torch.ones_like(snr)}[parameterisation]
    losses = [process.loss(lambda x, t: 0.5 * x, x0, t, noise) for process in (plain, weighted)]
    torch.testing.assert_close(losses[1], weight * losses[0])


def test_min_snr_needs_a_positive_gamma():
    with pytest.raises(ValueError, match="min_snr_gamma must be positive, such as 5, got 0"):
        Diffusion(min_snr_gamma=0.0)
