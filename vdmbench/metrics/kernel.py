"""Kernel video distance: an unbiased maximum mean discrepancy, which stays at zero for equal sets at any count."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.metrics.frechet import TooFewClips

BLOCK = 1024  # rows of a kernel matrix held at once: 8 MiB


def kernel_distance(real: Float[Tensor, "real features"], generated: Float[Tensor, "generated features"]) -> Float[Tensor, ""]:
    """Unbiased squared MMD under the kernel ``k(x, y) = (x.y / features + 1)^3``, float64; it may be negative.

    The U-statistic of Gretton et al. 2012, "A kernel two-sample test", JMLR 13, eq. 3; the kernel of Binkowski et al. 2018,
    "Demystifying MMD GANs", section 4 (KID). Raises :class:`TooFewClips` below two clips a side.
    """
    x, y = real.double(), generated.double()
    if min(len(x), len(y)) < 2:
        raise TooFewClips(f"a kernel distance needs at least 2 clips on each side, got {len(x)} and {len(y)}")
    within_x = (_kernel_sum(x, x) - _kernel_diagonal(x)) / (len(x) * (len(x) - 1))
    within_y = (_kernel_sum(y, y) - _kernel_diagonal(y)) / (len(y) * (len(y) - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def _kernel_sum(
    x: Float[Tensor, "n features"], y: Float[Tensor, "m features"], degree: int = 3, offset: int = 1
) -> Float[Tensor, ""]:
    blocks = [(rows @ y.T / x.shape[1] + offset).pow(degree).sum() for rows in x.split(BLOCK)]
    return torch.stack(blocks).sum()


def _kernel_diagonal(x: Float[Tensor, "n features"]) -> Float[Tensor, ""]:
    return (x.square().sum(1) / x.shape[1] + 1).pow(3).sum()


def jedi_distance(real: Float[Tensor, "real features"], generated: Float[Tensor, "generated features"]) -> Float[Tensor, ""]:
    """JEDi's score on V-JEPA features that the caller supplies: the biased MMD of ``(x.y / features)^2``, times 100.

    Luo et al. 2024, "Beyond FVD: enhanced evaluation metrics for video generation quality", as its authors compute it; it is
    never negative.
    """
    x, y = real.double(), generated.double()
    if min(len(x), len(y)) < 2:
        raise TooFewClips(f"a kernel distance needs at least 2 clips on each side, got {len(x)} and {len(y)}")
    means = [_kernel_sum(a, b, degree=2, offset=0) / (len(a) * len(b)) for a, b in ((x, x), (y, y), (x, y))]
    return 100 * (means[0] + means[1] - 2 * means[2])
