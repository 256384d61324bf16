"""A target whose denoiser and whose samples are known in closed form: clips of independent N(MEAN, SPREAD^2) pixels."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from vdmbench.diffusion import EDM, FlowMatching, Process

MEAN, SPREAD = 0.3, 0.5


def gaussian_denoiser(process: Process) -> Callable[[Tensor, Tensor], Tensor]:
    """The least-squares denoiser, of the process's own prediction."""

    def predict(given: Tensor, time: Tensor) -> Tensor:
        level = time / 1000 if isinstance(process, FlowMatching) else (4 * time).exp() if isinstance(process, EDM) else time
        alpha, sigma = (each.view(each.shape + (1,) * (given.ndim - each.ndim)) for each in process.alpha_sigma(level))
        x = given * (sigma**2 + process.parameterisation.sigma_data**2).sqrt() if isinstance(process, EDM) else given
        # E[x0 | x] of jointly Gaussian x0 and x = alpha x0 + sigma noise.
        x0 = MEAN + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2) * (x - alpha * MEAN)
        return process.parameterisation.target(x0, (x - alpha * x0) / sigma, alpha, sigma)

    return predict


def exact_sample(process: Process, noise: Tensor, first: float) -> Tensor:
    """Where the probability-flow ODE leads from the sampler's first state: it keeps each pixel's standard score."""
    alpha, sigma = process.alpha_sigma(first)
    x = process.noisiest_sigma * noise
    return MEAN + SPREAD * (x - alpha * MEAN) / sqrt(alpha**2 * SPREAD**2 + sigma**2)


def noise_of(seed: int, *shape: int) -> Tensor:
    """Float64 normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
