"""Noise schedules: how much of the clean clip is left at each of T levels.

Levels are counted 0 .. T-1 from clean to noise, as the denoiser sees them. All constants are float64 and live in NumPy,
so that they are rounded once, where they meet a clip, and exist alike under fake tensors and on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

Levels = Float64[np.ndarray, " steps"]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The forward process q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I) of Ho et al. 2020, Eq. 2.

    ``betas`` is float64 of shape (steps,), each in (0, 1); anything else is a ValueError.
    """

    betas: Levels

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or len(self.betas) < 2:
            raise ValueError(f"betas must be a vector of at least 2 levels, got shape {self.betas.shape}")
        if not np.all((self.betas > 0) & (self.betas < 1)):
            raise ValueError(f"each beta must be in (0, 1), got {self.betas.min():.4g} to {self.betas.max():.4g}")

    @property
    def steps(self) -> int:
        """T, the number of noise levels."""
        return len(self.betas)

    @cached_property
    def alpha_bar(self) -> Levels:
        """Share of the signal's variance left at each level, prod_{s<=t} (1 - beta_s) (Ho et al. 2020, Eq. 4)."""
        return np.cumprod(1.0 - self.betas)

    @property
    def alpha(self) -> Levels:
        """Scale of the clean clip in x_t = alpha_t x_0 + sigma_t noise."""
        return np.sqrt(self.alpha_bar)

    @property
    def sigma(self) -> Levels:
        """Scale of the noise in x_t = alpha_t x_0 + sigma_t noise; alpha_t^2 + sigma_t^2 = 1."""
        return np.sqrt(1.0 - self.alpha_bar)


def _betas_from_signal(signal: Callable[[Levels], Levels], steps: int, max_beta: float) -> Levels:
    """Betas whose cumulated product follows ``signal``, a falling function of time in [0, 1].

    Nichol & Dhariwal 2021, Section 3.2: beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, cut off at ``max_beta``, for the last
    level, where nothing is left of the signal, would divide by zero.
    """
    alpha_bar = signal(np.linspace(0.0, 1.0, steps + 1))
    return np.clip(1.0 - alpha_bar[1:] / alpha_bar[:-1], None, max_beta)


def cosine(steps: int, *, offset: float = 0.008, max_beta: float = 0.9999) -> NoiseSchedule:
    """Nichol & Dhariwal 2021, Eq. 17: alpha_bar(u) ~ cos^2((u + s) / (1 + s) pi/2), with s = ``offset``."""
    return NoiseSchedule(
        _betas_from_signal(lambda u: np.cos((u + offset) / (1.0 + offset) * np.pi / 2.0) ** 2, steps, max_beta)
    )


def linear(steps: int, *, first_beta: float = 1e-4, last_beta: float = 0.02) -> NoiseSchedule:
    """Ho et al. 2020, Section 4: betas in equal steps from ``first_beta`` to ``last_beta``.

    The two are stated for 1000 levels and scaled by 1000 / ``steps``, which keeps the noise at the last level the same
    whatever T is; fewer levels than 21 would need a beta above 1 and are refused.
    """
    scale = 1000.0 / steps
    if scale * last_beta >= 1.0:
        fewest = 1000.0 * last_beta
        raise ValueError(f"schedule 'linear' needs more than {fewest:.0f} steps, got {steps}; use more, or 'cosine'")
    return NoiseSchedule(np.linspace(scale * first_beta, scale * last_beta, steps))


def sigmoid(
    steps: int, *, start: float = -3.0, end: float = 3.0, temperature: float = 1.0, max_beta: float = 0.9999
) -> NoiseSchedule:
    """Jabri et al. 2023 (RIN), as in Chen 2023, Algorithm 1: alpha_bar falls along a logistic curve from 1 to 0."""

    def logistic(u: Levels) -> Levels:
        return 1.0 / (1.0 + np.exp(-(start + u * (end - start)) / temperature))

    first, last = logistic(np.array([0.0, 1.0]))
    return NoiseSchedule(_betas_from_signal(lambda u: (last - logistic(u)) / (last - first), steps, max_beta))


SCHEDULES: dict[str, Callable[[int], NoiseSchedule]] = {"cosine": cosine, "linear": linear, "sigmoid": sigmoid}


def noise_schedule(name: str, steps: int) -> NoiseSchedule:
    """The schedule of that name with T = ``steps`` levels; a ValueError names the known ones."""
    if name not in SCHEDULES:
        raise ValueError(f"unknown noise schedule '{name}', known: {', '.join(SCHEDULES)}")
    if steps < 2:
        raise ValueError(f"a noise schedule needs at least 2 steps, got {steps}")
    return SCHEDULES[name](steps)
