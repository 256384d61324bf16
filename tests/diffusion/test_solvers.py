"""Euler, Heun and DPM-Solver++(2M) against their peers in diffusers, and against the exact solution for a Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
)
from torch import Tensor

from tests.diffusion.gaussian import exact_sample, gaussian_denoiser, noise_of
from vdmbench.diffusion import (
    EDM,
    PARAMETERISATIONS,
    SCHEDULES,
    ClipNoise,
    Diffusion,
    FlowMatching,
    Process,
    sample_ddim,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
)

# What diffusers does to its tables warns of NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (2, 4, 3, 5, 5)
NOISE = noise_of(5, *SHAPE)


def network(x: Tensor, t: Tensor) -> Tensor:
    """Smooth, bounded and different at every time, of any range."""
    return torch.tanh(0.9 * x + torch.sin(0.02 * t).view(-1, *(1,) * (x.ndim - 1)) - 0.3)


def everywhere(time: float | Tensor) -> Tensor:
    return torch.full(SHAPE[:1], float(time), dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_by_euler_agrees_with_diffusers(shift: float, steps: int):
    sampled = sample_euler(FlowMatching(shift=shift), network, lambda: NOISE, steps=steps, clip_x0=False)
    peer = FlowMatchEulerDiscreteScheduler(shift=shift)
    peer.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps))
    x = NOISE
    for t in peer.timesteps:
        x = peer.step(network(x, everywhere(t)), t, x).prev_sample
    torch.testing.assert_close(sampled, x, rtol=0, atol=1e-5)


def with_levels(peer, levels: list[float], times: list[float]):
    """The peer spaces its own levels otherwise; the algorithm is what is compared. Heun visits all but the first twice."""
    peer.set_timesteps(len(levels))
    both = [torch.tensor(each, dtype=torch.float64) for each in (levels, times)]
    sigmas, peer.timesteps = (torch.cat([each[:1], each[1:].repeat_interleave(2)]) for each in both)
    peer.sigmas = torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])
    return peer


@pytest.mark.parametrize("steps", [2, 7, 20])
def test_flow_by_heun_agrees_with_diffusers(steps: int):
    process = FlowMatching(shift=3.0)
    sampled = sample_heun(process, network, lambda: NOISE, steps=steps, clip_x0=False)
    levels = process.visited(steps)
    peer = with_levels(FlowMatchHeunDiscreteScheduler(), levels, [1000 * t for t in levels])
    x = NOISE
    for t in peer.timesteps:
        x = peer.step(network(x, everywhere(t)), t, x).prev_sample
    torch.testing.assert_close(sampled, x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("clip_x0", [True, False])
@pytest.mark.parametrize("steps", [2, 7, 20])
def test_edm_by_heun_agrees_with_diffusers(steps: int, clip_x0: bool):
    process = EDM()
    sampled = sample_heun(process, network, lambda: NOISE, steps=steps, clip_x0=clip_x0)
    levels = process.visited(steps)
    peer = with_levels(HeunDiscreteScheduler(prediction_type="sample", clip_sample=clip_x0), levels, levels)
    x = process.sigma_max * NOISE
    for sigma in peer.timesteps:
        x = peer.step(process.denoise(network, x, float(sigma)), sigma, x).prev_sample
    torch.testing.assert_close(sampled, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("peer_class", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
@pytest.mark.parametrize("steps", [2, 7, 20])
def test_edm_by_euler_and_dpmpp_agree_with_diffusers(peer_class: type, steps: int):
    sampler = sample_euler if peer_class is EDMEulerScheduler else sample_dpmpp_2m
    sampled = sampler(EDM(), network, lambda: NOISE, steps=steps, clip_x0=False)
    peer = peer_class(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, rho=7.0)  # and the peer's own preconditioning
    peer.set_timesteps(steps)
    x = 80.0 * NOISE
    for c_noise in peer.timesteps:
        prediction = network(peer.scale_model_input(x, c_noise), everywhere(c_noise))
        x = peer.step(prediction, c_noise, x).prev_sample
    torch.testing.assert_close(sampled, x, rtol=0, atol=2e-5)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 8, 32])
def test_dpmpp_of_the_discrete_process_agrees_with_diffusers(schedule: str, parameterisation: str, steps: int):
    process = Diffusion(schedule=schedule, parameterisation=parameterisation, steps=64)
    sampled = sample_dpmpp_2m(process, network, lambda: NOISE, steps=steps, clip_x0=False)
    peer = DPMSolverMultistepScheduler(
        64,
        trained_betas=process.schedule.betas.tolist(),
        prediction_type={"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}[parameterisation],
        timestep_spacing="trailing",
    )
    peer.alphas_cumprod = torch.tensor(process.schedule.alpha_bar)  # its own is of float32, as in test_samplers
    peer.set_timesteps(steps)
    x = NOISE
    for level in peer.timesteps:
        x = peer.step(network(x, everywhere(level)), level, x).prev_sample
    torch.testing.assert_close(sampled, x, rtol=1e-4, atol=1e-5)


def fitted_order(sampler: Callable[..., Tensor], process: Process, counts: list[int]) -> float:
    """Slope of log error over log steps, against the exact end of the ODE."""
    noise = noise_of(0, 2, 64)
    errors = []
    for steps in counts:
        sampled = sampler(process, gaussian_denoiser(process), lambda: noise, steps=steps, clip_x0=False)
        errors.append((sampled - exact_sample(process, noise, process.visited(steps)[0])).square().mean().sqrt().item())
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


@pytest.mark.parametrize(
    ("sampler", "process", "order"),
    [
        (sample_euler, FlowMatching(), 1),
        (sample_heun, FlowMatching(), 2),
        (sample_heun, FlowMatching(shift=3.0), 2),
        (sample_euler, EDM(), 1),
        (sample_heun, EDM(), 2),
        (sample_dpmpp_2m, EDM(), 2),
    ],
)
def test_the_error_vanishes_at_the_order_of_the_method(sampler: Callable[..., Tensor], process: Process, order: int):
    assert fitted_order(sampler, process, [32, 64, 128, 256]) == pytest.approx(order, abs=0.12)


def test_dpmpp_converges_faster_than_ddim_on_the_discrete_process():
    """The levels are a grid of integers and the last step reaches infinite log-SNR, so the order is 2 on the whole only."""
    process, counts = Diffusion(schedule="cosine", parameterisation="v", steps=4096), [8, 16, 32, 64, 128, 256]
    assert fitted_order(sample_ddim, process, counts) == pytest.approx(1, abs=0.1)
    assert fitted_order(sample_dpmpp_2m, process, counts) > 1.8


@pytest.mark.parametrize("process", [FlowMatching(), EDM()])
def test_euler_in_float32_is_the_published_update(process: Process):
    """x <- x + dt v (Liu et al. 2023), and x <- x + (sigma' - sigma) (x - D) / sigma (Karras et al. 2022, Eq. 3)."""
    sampled = sample_euler(process, network, lambda: NOISE.float(), steps=5, clip_x0=False)
    assert sampled.dtype == torch.float32
    x = process.noisiest_sigma * NOISE
    levels = [*process.visited(5), 0.0]
    for level, following in pairwise(levels):
        if isinstance(process, FlowMatching):
            slope = network(x, everywhere(1000 * level))
        else:
            slope = (x - process.denoise(network, x, level)) / level
        x = x + (following - level) * slope
    torch.testing.assert_close(sampled.double(), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", [sample_euler, sample_heun, sample_dpmpp_2m])
@pytest.mark.parametrize("process", [FlowMatching(shift=3.0), EDM()])
def test_solvers_keep_clips_apart_in_range_and_out_of_the_graph(sampler: Callable[..., Tensor], process: Process):
    weight = torch.ones((), requires_grad=True)
    seen: list[tuple[int, int]] = []

    def sampled(clips: list[int]) -> Tensor:
        draw = ClipNoise(9, clips, SHAPE[1:])
        return sampler(process, lambda x, t: weight * network(x, t), draw, steps=4, progress=lambda *done: seen.append(done))

    whole = sampled([0, 1, 2])
    assert seen == [(done, 4) for done in range(1, 5)]
    torch.testing.assert_close(whole[1], sampled([1])[0], rtol=1e-6, atol=1e-6)
    assert whole.abs().max() <= 1
    assert not whole.requires_grad


@pytest.mark.parametrize("process", [FlowMatching(), EDM()])
def test_a_process_without_levels_of_its_own_asks_for_steps(process: Process):
    for steps in (None, 0):
        with pytest.raises(ValueError, match="give steps, such as"):
            process.visited(steps)


def test_heun_evaluates_twice_but_at_the_last_level():
    calls: list[float] = []

    def counted(x: Tensor, t: Tensor) -> Tensor:
        calls.append(t[0].item())
        return network(x, t)

    sample_heun(FlowMatching(), counted, lambda: NOISE, steps=4)
    assert calls == pytest.approx([1000, 750, 750, 500, 500, 250, 250])
