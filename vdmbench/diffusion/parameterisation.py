"""What the denoiser is given and predicts, and the way from there to the clean clip.

Throughout x = alpha x0 + sigma noise. ``alpha`` and ``sigma`` are floats where the whole batch is at one level, or tensors
that broadcast against the clip where levels differ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

Coefficient = float | Tensor
Clips = Float[Tensor, "batch *clip"]
"""Clips of any layout with a leading batch axis, such as (batch, frames, channels, height, width)."""


class Parameterisation(ABC):
    """A choice of the quantity that the denoiser regresses; always one from which x0 follows linearly."""

    def network_input(self, x: Clips, sigma: Coefficient) -> Clips:
        """``x`` as the denoiser is given it."""
        return x

    @abstractmethod
    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        """What a perfect denoiser would return for x = alpha x0 + sigma noise."""

    @abstractmethod
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        """The clean clip that ``prediction`` stands for at ``x``."""

    @abstractmethod
    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        """By how much x0 moves with the prediction at the same ``x``, without its sign: |d x0 / d prediction|."""


class Epsilon(Parameterisation):
    """The noise itself (Ho et al. 2020, Section 3.2)."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return noise

    # Ho et al. 2020, Eq. 15.
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return (x - sigma * prediction) / alpha

    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        return sigma / alpha


class Velocity(Parameterisation):
    """v = alpha noise - sigma x0 (Salimans & Ho 2022, Section 4 and Appendix D)."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return alpha * noise - sigma * x0

    # With alpha^2 + sigma^2 = 1, (alpha, -sigma) is the inverse rotation of x and v.
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return alpha * x - sigma * prediction

    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        return sigma


class Clean(Parameterisation):
    """The clean clip itself."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return x0

    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return prediction

    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        return 1.0


class FlowVelocity(Parameterisation):
    """dx/dt = noise - x0 of the straight path x = (1 - t) x0 + t noise (Liu et al. 2023, Eq. 1; Lipman et al. 2023, Eq. 23).

    Both papers run time from noise to data; here, as in Esser et al. 2024, t = 0 is the clean clip.
    """

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return noise - x0

    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return x - sigma * prediction

    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        return sigma


class Preconditioned(Parameterisation):
    """The network F inside D(x) = c_skip x + c_out F(c_in x) (Karras et al. 2022, Eq. 7 and Table 1), for alpha = 1.

    ``sigma_data`` is the standard deviation of clean clips: input and target of F then have unit variance at every sigma.
    """

    def __init__(self, sigma_data: float) -> None:
        self.sigma_data = sigma_data

    # Karras et al. 2022, Table 1: c_in = 1 / sqrt(sigma^2 + sigma_data^2).
    def network_input(self, x: Clips, sigma: Coefficient) -> Clips:
        return x / (sigma**2 + self.sigma_data**2) ** 0.5

    # Karras et al. 2022, Eq. 8: (x0 - c_skip x) / c_out, with x = x0 + sigma noise put in and what cancels left out.
    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return (sigma / self.sigma_data * x0 - self.sigma_data * noise) / (sigma**2 + self.sigma_data**2) ** 0.5

    # Karras et al. 2022, Table 1: c_skip = sigma_data^2 / (sigma^2 + sigma_data^2), c_out as in x0_scale.
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        skip = self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
        return skip * x + self.x0_scale(alpha, sigma) * prediction

    def x0_scale(self, alpha: Coefficient, sigma: Coefficient) -> Coefficient:
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2) ** 0.5


PARAMETERISATIONS: dict[str, Parameterisation] = {"epsilon": Epsilon(), "v": Velocity(), "x0": Clean()}
"""Those of the discrete process, by name; flow matching and EDM have one each."""


def parameterisation(name: str) -> Parameterisation:
    """The parameterisation of that name; a ValueError names the known ones."""
    if name not in PARAMETERISATIONS:
        raise ValueError(f"unknown parameterisation '{name}', known: {', '.join(PARAMETERISATIONS)}")
    return PARAMETERISATIONS[name]


def noise_in(x: Clips, x0: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
    """The noise that leads from ``x0`` to ``x``, whichever quantity was predicted."""
    return (x - alpha * x0) / sigma
