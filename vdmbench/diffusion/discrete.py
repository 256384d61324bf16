"""Diffusion over T discrete levels, variance preserving: the process of DDPM and DDIM."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.diffusion.parameterisation import Coefficient
from vdmbench.diffusion.parameterisation import parameterisation as parameterisation_named
from vdmbench.diffusion.process import Level, Levels, Process
from vdmbench.diffusion.schedule import noise_schedule


class Diffusion(Process):
    """Gaussian diffusion over T discrete levels (Ho et al. 2020); the denoiser is told the level, an int64 in 0 .. T-1.

    ``schedule`` is cosine, linear or sigmoid; ``parameterisation`` epsilon, v or x0; ``steps`` is T. ``min_snr_gamma`` weights
    the loss as Hang et al. 2023 do, and None is the simple loss. ``device`` is where training clips live: the two tables that
    levels index are put there once, in float64. Samplers need no table, for a batch is at one level at a time.
    """

    clean = 0

    def __init__(
        self,
        *,
        schedule: str = "cosine",
        parameterisation: str = "epsilon",
        steps: int = 256,
        min_snr_gamma: float | None = None,
        levels: str = "clip",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(parameterisation_named(parameterisation), levels=levels, device=device)
        if min_snr_gamma is not None and min_snr_gamma <= 0:
            raise ValueError(f"min_snr_gamma must be positive, such as 5, got {min_snr_gamma}")
        self.schedule = noise_schedule(schedule, steps)
        self.steps = steps
        self.min_snr_gamma = min_snr_gamma
        self._alpha = torch.tensor(self.schedule.alpha, device=self.device)
        self._sigma = torch.tensor(self.schedule.sigma, device=self.device)

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Int[Tensor, " *shape"]:
        # Ho et al. 2020, Algorithm 1: t ~ Uniform{0 .. T-1}.
        return torch.randint(self.steps, shape, generator=generator, device=generator.device)

    def level_at(self, share: Float[Tensor, " *shape"]) -> Int[Tensor, " *shape"]:
        return (share * self.steps).long().clamp(max=self.steps - 1)

    def visited(self, steps: int | None = None) -> list[Level]:
        """All T levels, or ``steps`` of them; see :func:`trailing_levels`."""
        return list(trailing_levels(self.steps, self.steps if steps is None else steps))

    def alpha_sigma(self, level: Level | Levels) -> tuple[Coefficient, Coefficient]:
        # Ho et al. 2020, Eq. 4, reparameterised: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.
        if isinstance(level, Tensor):
            return self._alpha[level], self._sigma[level]
        return float(self.schedule.alpha[int(level)]), float(self.schedule.sigma[int(level)])

    def time(self, t: Levels) -> Levels:
        return t

    def weight(self, alpha: Tensor, sigma: Tensor) -> Tensor | None:
        if self.min_snr_gamma is None:
            return None
        # Hang et al. 2023, Section 3.4: the error of x0 is weighted by min(SNR, gamma), SNR = alpha^2 / sigma^2. That error is
        # the prediction's times x0_scale: so min(1, gamma / SNR) for epsilon, and min(SNR, gamma) / (SNR + 1) for v.
        snr = (alpha / sigma).square()
        return snr.clamp(max=self.min_snr_gamma) * self.parameterisation.x0_scale(alpha, sigma) ** 2


def trailing_levels(total: int, steps: int) -> list[int]:
    """``steps`` of ``total`` levels, evenly spread, from T-1 down.

    The "trailing" rule of Lin et al. 2024, Table 2: sampling starts from pure noise, so it must start at the last level.
    Rounds half up, in integers.
    """
    if not 1 <= steps <= total:
        raise ValueError(f"sampling can visit 1 to {total} of {total} levels, got steps={steps}")
    return [(2 * total * k + steps) // (2 * steps) - 1 for k in range(steps, 0, -1)]
