from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from vdmbench.diffusion import PARAMETERISATIONS, SCHEDULES, ClipNoise, Diffusion, sample_ddim, sample_ddpm
from vdmbench.diffusion.discrete import trailing_levels

SHAPE = (2, 4, 3, 5, 5)
STEPS = 64
PREDICTION_TYPE = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}


def denoiser(x: Tensor, t: Tensor) -> Tensor:
    """Smooth, bounded and different at every level."""
    return torch.tanh(0.9 * x + 0.02 * t.view(-1, *(1,) * (x.ndim - 1)) - 0.3)


def seeded_draw(shape: tuple[int, ...] = SHAPE) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(5)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def in_float64(peer, diffusion: Diffusion):
    """The peer keeps its table in float32, where 1 - alpha_bar loses half its digits; the algorithm is what is compared."""
    peer.alphas_cumprod = torch.tensor(diffusion.schedule.alpha_bar)
    return peer


def peer_options(diffusion: Diffusion, parameterisation: str, clip_x0: bool) -> dict:
    return dict(
        num_train_timesteps=diffusion.steps,
        trained_betas=diffusion.schedule.betas.tolist(),
        prediction_type=PREDICTION_TYPE[parameterisation],
        clip_sample=clip_x0,
    )


@pytest.mark.parametrize("clip_x0", [True, False])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_ddpm_agrees_with_diffusers(schedule: str, parameterisation: str, clip_x0: bool):
    diffusion = Diffusion(schedule=schedule, parameterisation=parameterisation, steps=STEPS)
    sampled = sample_ddpm(diffusion, denoiser, seeded_draw(), clip_x0=clip_x0)

    peer = in_float64(DDPMScheduler(**peer_options(diffusion, parameterisation, clip_x0)), diffusion)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    for level in reversed(range(STEPS)):
        t = torch.full((len(x),), level)
        x = peer.step(denoiser(x, t), level, x, generator=generator).prev_sample
    torch.testing.assert_close(sampled, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("clip_x0", [True, False])
@pytest.mark.parametrize("steps", [1, 16, STEPS])
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_ddim_agrees_with_diffusers(schedule: str, parameterisation: str, eta: float, steps: int, clip_x0: bool):
    diffusion = Diffusion(schedule=schedule, parameterisation=parameterisation, steps=STEPS)
    sampled = sample_ddim(diffusion, denoiser, seeded_draw(), steps=steps, eta=eta, clip_x0=clip_x0)

    options = peer_options(diffusion, parameterisation, clip_x0)
    peer = in_float64(DDIMScheduler(**options, timestep_spacing="trailing"), diffusion)
    peer.set_timesteps(steps)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    for level in peer.timesteps.tolist():
        prediction = denoiser(x, torch.full((len(x),), level))
        x = peer.step(prediction, level, x, eta=eta, use_clipped_model_output=True, generator=generator).prev_sample
    torch.testing.assert_close(sampled, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_ddim_with_all_the_noise_over_all_levels_is_ddpm(parameterisation: str):
    diffusion = Diffusion(parameterisation=parameterisation, steps=STEPS)
    ancestral = sample_ddpm(diffusion, denoiser, seeded_draw())
    torch.testing.assert_close(sample_ddim(diffusion, denoiser, seeded_draw(), eta=1.0), ancestral, rtol=1e-8, atol=1e-8)


MEAN, SPREAD = 0.3, 0.5


def gaussian_denoiser(diffusion: Diffusion, parameterisation: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The least-squares denoiser of x0 ~ N(MEAN, SPREAD^2), in closed form."""
    alphas, sigmas = torch.tensor(diffusion.schedule.alpha), torch.tensor(diffusion.schedule.sigma)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = alphas[t].view(-1, 1), sigmas[t].view(-1, 1)
        # E[x0 | x] of jointly Gaussian x0 and x = alpha x0 + sigma noise.
        x0 = MEAN + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2) * (x - alpha * MEAN)
        return PARAMETERISATIONS[parameterisation].target(x0, (x - alpha * x0) / sigma, alpha, sigma)

    return predict


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "ddim-100"])
def test_a_gaussian_is_sampled_with_its_mean_and_spread(sampler: str, schedule: str, parameterisation: str):
    diffusion = Diffusion(schedule=schedule, parameterisation=parameterisation, steps=256)
    predict = gaussian_denoiser(diffusion, parameterisation)
    draw = ClipNoise(0, range(64), (512,), dtype=torch.float64)
    if sampler == "ddpm":
        samples = sample_ddpm(diffusion, predict, draw, clip_x0=False)
    else:
        samples = sample_ddim(diffusion, predict, draw, steps=100 if sampler == "ddim-100" else None, clip_x0=False)
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.01)
    # The posterior variance is exact for a single point only, and any number of levels is finite: a few percent are missing.
    assert samples.std().item() == pytest.approx(SPREAD, rel=0.04)


@pytest.mark.parametrize("sampler", [sample_ddpm, sample_ddim])
def test_the_missing_spread_vanishes_with_the_number_of_levels(sampler: Callable[..., Tensor]):
    missing = []
    for steps in (32, 128, 512):
        diffusion = Diffusion(schedule="linear", steps=steps)
        draw = ClipNoise(0, range(16), (2048,), dtype=torch.float64)
        samples = sampler(diffusion, gaussian_denoiser(diffusion, "epsilon"), draw, clip_x0=False)
        missing.append(1 - samples.std().item() / SPREAD)
    assert missing[0] > 2 * missing[1] > 4 * missing[2]


@pytest.mark.parametrize("sampler", [sample_ddpm, sample_ddim])
def test_a_clip_does_not_depend_on_its_batch(sampler: Callable[..., Tensor]):
    diffusion = Diffusion(steps=32)
    whole = sampler(diffusion, denoiser, ClipNoise(9, range(5), SHAPE[1:]))
    single = sampler(diffusion, denoiser, ClipNoise(9, [3], SHAPE[1:]))
    torch.testing.assert_close(whole[3], single[0], rtol=1e-6, atol=1e-6)


def test_clipping_keeps_samples_in_range():
    diffusion = Diffusion(steps=32)
    draw = ClipNoise(0, range(2), (4, 3))
    assert sample_ddpm(diffusion, lambda x, t: 3.0 * x, draw).abs().max() <= 1.0
    assert sample_ddim(diffusion, lambda x, t: 3.0 * x, draw, steps=7).abs().max() <= 1.0


def test_samples_stay_float32_when_the_denoiser_answers_in_bfloat16():
    diffusion = Diffusion(steps=8)
    samples = sample_ddpm(diffusion, lambda x, t: denoiser(x, t).bfloat16(), ClipNoise(0, [0], (4, 3)))
    assert samples.dtype == torch.float32


@pytest.mark.parametrize(("total", "steps"), [(256, 10), (256, 256), (256, 255), (256, 1), (7, 4), (1000, 333)])
def test_ddim_visits_distinct_levels_from_the_last(total: int, steps: int):
    levels = trailing_levels(total, steps)
    assert len(levels) == steps
    assert levels[0] == total - 1
    assert levels[-1] >= 0
    gaps = -np.diff(levels)
    assert steps == 1 or (gaps.min() >= total // steps and gaps.max() <= -(-total // steps))


@pytest.mark.parametrize("steps", [0, 257])
def test_ddim_refuses_levels_that_are_not_there(steps: int):
    with pytest.raises(ValueError, match=f"1 to 256 of 256 levels, got steps={steps}"):
        sample_ddim(Diffusion(steps=256), denoiser, seeded_draw(), steps=steps)


def test_ddim_refuses_eta_above_one():
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\], got 1.5"):
        sample_ddim(Diffusion(steps=8), denoiser, seeded_draw(), eta=1.5)


def test_progress_counts_every_step():
    diffusion = Diffusion(steps=8)
    seen: list[tuple[int, int]] = []
    sample_ddpm(diffusion, denoiser, seeded_draw(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]
    seen.clear()
    sample_ddim(diffusion, denoiser, seeded_draw(), steps=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_sampling_builds_no_graph():
    weight = torch.ones((), requires_grad=True)
    samples = sample_ddpm(Diffusion(steps=4), lambda x, t: weight * x, ClipNoise(0, [0], (3,)))
    assert not samples.requires_grad
