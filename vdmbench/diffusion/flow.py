"""Flow matching on straight paths: rectified flow."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.diffusion.parameterisation import Coefficient, FlowVelocity
from vdmbench.diffusion.process import Level, Levels, Process

Time = TypeVar("Time", float, Tensor)

NETWORK_TIMES = 1000.0
"""The denoiser is told 1000 t, so that flow times span what sinusoidal embeddings were made for (as in ``diffusers``)."""


class FlowMatching(Process):
    """x_t = (1 - t) x0 + t noise, t from 0 (clean) to 1 (noise); the denoiser predicts noise - x0 and is told 1000 t, a float.

    Liu et al. 2023 (rectified flow), Lipman et al. 2023 (flow matching, with sigma_min = 0).

    ``timestep_sampling`` is how training draws t: uniform in [0, 1), or logit-normal, the logistic function of a normal draw of
    ``logit_mean`` and ``logit_std``. ``shift`` moves the times of training and of sampling alike towards noise, as longer and
    larger clips need; 1 leaves them.
    """

    clean = 0.0

    def __init__(
        self,
        *,
        timestep_sampling: str = "uniform",
        logit_mean: float = 0.0,
        logit_std: float = 1.0,
        shift: float = 1.0,
        levels: str = "clip",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(FlowVelocity(), levels=levels, device=device)
        if timestep_sampling not in ("uniform", "logit-normal"):
            raise ValueError(f"timestep_sampling must be 'uniform' or 'logit-normal', got '{timestep_sampling}'")
        if shift <= 0 or logit_std <= 0:
            raise ValueError(f"shift and logit_std must be positive, got {shift} and {logit_std}")
        self.timestep_sampling = timestep_sampling
        self.logit_mean, self.logit_std, self.shift = logit_mean, logit_std, shift

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, " *shape"]:
        if self.timestep_sampling == "uniform":
            t = torch.rand(shape, generator=generator, device=generator.device)
        else:
            # Esser et al. 2024, Eq. 19.
            normal = torch.randn(shape, generator=generator, device=generator.device)
            t = torch.sigmoid(self.logit_mean + self.logit_std * normal)
        return self._shifted(t)

    def level_at(self, share: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
        if self.timestep_sampling == "logit-normal":
            share = torch.sigmoid(self.logit_mean + self.logit_std * torch.special.ndtri(share))
        return self._shifted(share)

    def visited(self, steps: int | None = None) -> list[Level]:
        """``steps`` times in equal parts from 1, then shifted."""
        if steps is None or steps < 1:
            raise ValueError(f"flow matching has no levels of its own: give steps, such as 32, got {steps}")
        return [self._shifted(k / steps) for k in range(steps, 0, -1)]

    def _shifted(self, t: Time) -> Time:
        # Esser et al. 2024, Eq. 23, with shift = sqrt(m / n).
        return self.shift * t / (1.0 + (self.shift - 1.0) * t)

    def alpha_sigma(self, level: Level | Levels) -> tuple[Coefficient, Coefficient]:
        return 1.0 - level, level if isinstance(level, Tensor) else float(level)

    def time(self, t: Levels) -> Levels:
        return NETWORK_TIMES * t
