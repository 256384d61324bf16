"""The diffusion process that training and sampling share: levels, what is predicted, and the loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.diffusion.parameterisation import Clips
from vdmbench.diffusion.parameterisation import parameterisation as parameterisation_named
from vdmbench.diffusion.schedule import noise_schedule

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x: "batch *clip", t: "batch" int64 level in 0..T-1) -> prediction: "batch *clip"."""


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


class Diffusion:
    """Gaussian diffusion over T discrete levels, for clips of any layout with a leading batch axis.

    ``schedule`` is cosine, linear or sigmoid; ``parameterisation`` epsilon, v or x0; ``steps`` is T. ``device`` is where
    training clips live: the two tables that :meth:`q_sample` and :meth:`loss` index by level are put there once, in
    float64. Samplers need no table, for a batch is at one level at a time.
    """

    def __init__(
        self,
        *,
        schedule: str = "cosine",
        parameterisation: str = "epsilon",
        steps: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        self.schedule = noise_schedule(schedule, steps)
        self.parameterisation = parameterisation_named(parameterisation)
        self.steps = steps
        self.device = torch.device(device)
        self._alpha = torch.tensor(self.schedule.alpha, device=self.device)
        self._sigma = torch.tensor(self.schedule.sigma, device=self.device)

    def draw_timesteps(self, batch: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """Levels t ~ Uniform{0 .. T-1} (Ho et al. 2020, Algorithm 1), int64, on the device of the process."""
        return torch.randint(self.steps, (batch,), generator=generator, device=generator.device).to(self.device)

    def q_sample(self, x0: Clips, t: Int[Tensor, " batch"], noise: Clips) -> Clips:
        """Clips at level ``t`` (Ho et al. 2020, Eq. 4), computed in float32 at least and returned in the dtype of ``x0``."""
        alpha, sigma = self._coefficients(t, x0)
        # Ho et al. 2020, Eq. 4, reparameterised: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise.
        return (alpha * x0 + sigma * noise).to(x0.dtype)

    def loss(self, denoiser: Denoiser, x0: Clips, t: Int[Tensor, " batch"], noise: Clips) -> Float[Tensor, " batch"]:
        """Mean squared error of each clip's prediction, float32 at least, whatever autocast made of the prediction."""
        alpha, sigma = self._coefficients(t, x0)
        prediction = denoiser(self.q_sample(x0, t, noise), t)
        if prediction.shape != x0.shape:
            raise ValueError(
                f"the denoiser must return the shape of its input, {tuple(x0.shape)}, got {tuple(prediction.shape)}"
            )
        # Ho et al. 2020, Eq. 14 ("simple" weighting); for v and x0 the same norm of their own target.
        target = self.parameterisation.target(x0, noise, alpha, sigma).to(alpha.dtype)
        return (prediction.to(alpha.dtype) - target).square().flatten(start_dim=1).mean(dim=1)

    def _coefficients(self, t: Int[Tensor, " batch"], like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t, one a clip, shaped to broadcast against ``like``."""
        shape = (-1,) + (1,) * (like.ndim - 1)
        dtype = _at_least_float32(like.dtype)
        return self._alpha[t].to(dtype).view(shape), self._sigma[t].to(dtype).view(shape)
