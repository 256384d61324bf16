"""EDM: the design of Karras et al. 2022, with a preconditioned network."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.diffusion.parameterisation import Coefficient, Preconditioned
from vdmbench.diffusion.process import Level, Levels, Process


class EDM(Process):
    """x = x0 + sigma noise; a level is sigma, and the denoiser is given c_in x and told c_noise = ln(sigma) / 4, a float.

    Karras et al. 2022, Table 1, "Ours". Training draws ln(sigma) from a normal distribution of ``p_mean`` and ``p_std``;
    sampling goes down from ``sigma_max`` to ``sigma_min``, closer together towards the clean end the larger ``rho``. The
    paper's loss weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 of the error of x0 is 1 for the error of the network's
    own output, which is what :meth:`loss` takes.

    No level is without noise. Frames that are given are told the smallest one that training knows well, two deviations below
    the mean of ln(sigma) (0.027 as published), for ``sigma_min`` lies four below and is hardly ever drawn: there the
    preconditioning hides what a network answers about its own frame, and not what other frames learn from it.
    """

    def __init__(
        self,
        *,
        sigma_data: float = 0.5,
        p_mean: float = -1.2,
        p_std: float = 1.2,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        rho: float = 7.0,
        levels: str = "clip",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(Preconditioned(sigma_data), levels=levels, device=device)
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min must be positive and less than sigma_max, got {sigma_min} and {sigma_max}")
        if min(sigma_data, p_std, rho) <= 0:
            raise ValueError(f"sigma_data, p_std and rho must be positive, got {sigma_data}, {p_std} and {rho}")
        self.p_mean, self.p_std = p_mean, p_std
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho
        self.clean, self.noisiest_sigma = max(sigma_min, math.exp(p_mean - 2 * p_std)), sigma_max

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, " *shape"]:
        # Karras et al. 2022, Table 1: ln(sigma) ~ N(P_mean, P_std^2).
        return (self.p_mean + self.p_std * torch.randn(shape, generator=generator, device=generator.device)).exp()

    def level_at(self, share: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
        return (self.p_mean + self.p_std * torch.special.ndtri(share)).exp()

    def visited(self, steps: int | None = None) -> list[Level]:
        """``steps`` values of sigma from ``sigma_max`` to ``sigma_min``; 1 step is ``sigma_max`` alone."""
        if steps is None or steps < 1:
            raise ValueError(f"EDM has no levels of its own: give steps, such as 18, got {steps}")
        # Karras et al. 2022, Eq. 5.
        first, last = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        return [(first + k / max(steps - 1, 1) * (last - first)) ** self.rho for k in range(steps)]

    def alpha_sigma(self, level: Level | Levels) -> tuple[Coefficient, Coefficient]:
        if isinstance(level, Tensor):
            return torch.ones_like(level), level
        return 1.0, float(level)

    # Karras et al. 2022, Table 1: c_noise.
    def time(self, t: Levels) -> Levels:
        return t.log() / 4
