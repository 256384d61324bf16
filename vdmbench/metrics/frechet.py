"""The Fréchet distance between two sets of features, in float64, exact for any number of clips.

For Gaussians the squared 2-Wasserstein distance is (Dowson & Landau 1982, "The Fréchet distance between multivariate
normal distributions", J. Multivariate Anal. 12(3); Unterthiner et al. 2018, "Towards accurate generative models of video",
eq. 2)::

    d^2 = |mu_1 - mu_2|^2 + Tr S_1 + Tr S_2 - 2 Tr (S_1 S_2)^{1/2}

With factors ``S_i = F_i^T F_i`` the last trace is the nuclear norm of ``F_1 F_2^T``, because S_1 S_2 has the eigenvalues of
``(F_1 F_2^T)^T (F_1 F_2^T)``. Centred features are such a factor, so the trace is exact however few clips there are, where
a general matrix square root of the singular product is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from scipy.linalg import eigh, lapack
from torch import Tensor

Divisor = Literal["n-1", "n"]
BLOCK = 4096  # clips held in float64 at once


class TooFewClips(ValueError):
    """A side has fewer than two clips: no covariance exists."""


@dataclass(frozen=True)
class Moments:
    """Streaming sums of features in float64: all that a Gaussian needs, in memory that does not grow with clips; they add."""

    count: int
    total: Float[Tensor, " features"]
    outer: Float[Tensor, "features features"]

    @classmethod
    def of(cls, features: Float[Tensor, "clips features"]) -> Moments:
        """Sums over ``features``."""
        x = features.double()
        return cls(len(x), x.sum(0), x.T @ x)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    def scatter(self) -> Float[Tensor, "features features"]:
        """Sum of outer products of the centred features."""
        centred = self.outer - torch.outer(self.total, self.total / self.count)
        return (centred + centred.T) / 2

    def scaled(self, scale: Float[Tensor, " features"]) -> Moments:
        """The sums of features divided by ``scale``."""
        return Moments(self.count, self.total / scale, self.outer / torch.outer(scale, scale))


@dataclass(frozen=True)
class Gaussian:
    """A fitted Gaussian: its mean, the trace of its covariance S and a factor F with ``F^T F = S``, all float64."""

    mean: Float[Tensor, " features"]
    trace: Float[Tensor, ""]
    factor: Float[Tensor, "rank features"]
    covariance: Float[Tensor, "features features"] | None = None
    """S itself where it is of full rank; F is then upper triangular."""

    @classmethod
    def fit(cls, features: Float[Tensor, "clips features"], divisor: Divisor = "n-1") -> Gaussian:
        """Fit to features; with no more clips than features the centred features are the factor, without rounding."""
        freedom = _degrees_of_freedom(len(features), divisor)
        mean = features.mean(0, dtype=torch.float64)
        if len(features) <= features.shape[1]:
            factor = (features.double() - mean) / freedom**0.5
            return cls(mean, factor.square().sum(), factor)
        scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=features.device)
        for rows in features.split(BLOCK):
            centred = rows.double() - mean
            scatter.addmm_(centred.T, centred)
        return cls._of_covariance(mean, scatter / freedom, len(features) - 1)

    @classmethod
    def from_moments(cls, moments: Moments, divisor: Divisor = "n-1") -> Gaussian:
        """Fit to streaming sums; exact up to the rounding of the sums, rank-deficient ones too."""
        covariance = moments.scatter() / _degrees_of_freedom(moments.count, divisor)
        return cls._of_covariance(moments.total / moments.count, covariance, moments.count - 1)

    @classmethod
    def _of_covariance(
        cls, mean: Float[Tensor, " features"], covariance: Float[Tensor, "features features"], rank: int
    ) -> Gaussian:
        """The Gaussian, with a factor of no more rows than the ``rank`` that the count of clips allows."""
        if rank >= len(covariance):
            lower, failed = torch.linalg.cholesky_ex(covariance)
            if not failed:
                return cls(mean, covariance.trace(), lower.T, covariance)
        values, vectors = torch.linalg.eigh(covariance)
        kept = min(rank, len(values))  # eigenvalues past it are rounding
        factor = values[-kept:].clamp_min(0).sqrt()[:, None] * vectors[:, -kept:].T
        return cls(mean, covariance.trace(), factor)


def frechet_distance(one: Gaussian, other: Gaussian) -> Float[Tensor, ""]:
    """Squared Fréchet distance between two Gaussians, float64."""
    root_trace = root_values(one, other).sum()
    return ((one.mean - other.mean).square().sum() + one.trace + other.trace - 2 * root_trace).clamp_min(0)


def root_values(one: Gaussian, other: Gaussian) -> Float[Tensor, " values"]:
    """Eigenvalues of (S_1 S_2)^{1/2}, float64; where a rank is short, those that may not be 0."""
    if one.covariance is not None and other.covariance is not None:
        return _root_values(one.covariance, other.factor)
    return torch.linalg.svdvals(one.factor @ other.factor.T)


def _root_values(
    covariance: Float[Tensor, "features features"], upper: Float[Tensor, "features features"]
) -> Float[Tensor, " features"]:
    """The same where both have full rank, from S_1 and U with ``U^T U = S_2``.

    S_1 S_2 has the eigenvalues of the symmetric ``U S_1 U^T``, which are well above rounding here, so that they may be asked
    for in place of singular values. LAPACK forms that product in a quarter of the operations of two general ones (sygst),
    and it runs on the CPU wherever the features are: no GPU solver is faster at some hundred features.
    """
    # Transposed, for LAPACK reads columns first: S_1 is its own transpose, and U^T is the lower factor.
    symmetric, failed = lapack.dsygst(covariance.cpu().numpy().T, upper.cpu().numpy().T, itype=3, lower=True)
    if failed:
        raise ValueError(f"LAPACK refused argument {-failed} of dsygst")
    eigenvalues = eigh(symmetric, lower=True, eigvals_only=True, driver="ev", overwrite_a=True, check_finite=False)
    return torch.from_numpy(eigenvalues).to(covariance.device).clamp_min(0).sqrt()


def standard_scale(reference: Moments, floor: float) -> Float[Tensor, " features"]:
    """Deviation of each feature in the reference, no less than ``floor`` (a feature constant there would divide by 0)."""
    variance = reference.scatter().diagonal() / _degrees_of_freedom(reference.count, "n-1")
    return variance.clamp_min(floor**2).sqrt()


def _degrees_of_freedom(count: int, divisor: Divisor) -> int:
    if count < 2:
        raise TooFewClips(f"a Fréchet distance needs at least 2 clips on each side, got {count}")
    return count - 1 if divisor == "n-1" else count
