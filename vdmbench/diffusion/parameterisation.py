"""What the denoiser predicts, and the way from there to the clean clip.

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
    """A choice of the quantity that the denoiser regresses."""

    @abstractmethod
    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        """What a perfect denoiser would return for x = alpha x0 + sigma noise."""

    @abstractmethod
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        """The clean clip that ``prediction`` stands for at ``x``."""


class Epsilon(Parameterisation):
    """The noise itself (Ho et al. 2020, Section 3.2)."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return noise

    # Ho et al. 2020, Eq. 15.
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return (x - sigma * prediction) / alpha


class Velocity(Parameterisation):
    """v = alpha noise - sigma x0 (Salimans & Ho 2022, Section 4 and Appendix D)."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return alpha * noise - sigma * x0

    # With alpha^2 + sigma^2 = 1, (alpha, -sigma) is the inverse rotation of x and v.
    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return alpha * x - sigma * prediction


class Clean(Parameterisation):
    """The clean clip itself."""

    def target(self, x0: Clips, noise: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return x0

    def x0(self, prediction: Clips, x: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
        return prediction


PARAMETERISATIONS: dict[str, Parameterisation] = {"epsilon": Epsilon(), "v": Velocity(), "x0": Clean()}


def parameterisation(name: str) -> Parameterisation:
    """The parameterisation of that name; a ValueError names the known ones."""
    if name not in PARAMETERISATIONS:
        raise ValueError(f"unknown parameterisation '{name}', known: {', '.join(PARAMETERISATIONS)}")
    return PARAMETERISATIONS[name]


def noise_in(x: Clips, x0: Clips, alpha: Coefficient, sigma: Coefficient) -> Clips:
    """The noise that leads from ``x0`` to ``x``, whichever quantity was predicted."""
    return (x - alpha * x0) / sigma
