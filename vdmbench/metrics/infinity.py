"""The distance that infinitely many clips would give, extrapolated from fewer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 256  # clips under which the bias is not yet linear in 1/N
POINTS = 8
DRAWS = 4


def infinite_distance(
    distance: Callable[[Tensor, Tensor], Tensor],
    real: Float[Tensor, "real features"],
    generated: Float[Tensor, "generated features"],
    *,
    seed: int = 0,
) -> float | None:
    """Intercept at 1/N = 0 of the distances of random subsets of N clips a side, N from half of them to all.

    The bias of a Fréchet distance is linear in 1/N to first order (Chong & Forsyth 2020, "Effectively unbiased FID and
    Inception Score and where to find them", section 3). None below 256 clips, where it is not linear yet; an estimate
    of nothing may fall below zero.
    """
    most = min(len(real), len(generated))
    if most < LEAST:
        return None
    generator = torch.Generator().manual_seed(seed)
    inverse, values = [], []
    for count in torch.linspace(most // 2, most, POINTS).long().tolist():
        for _ in range(DRAWS):
            rows = torch.randperm(len(real), generator=generator)[:count]
            columns = torch.randperm(len(generated), generator=generator)[:count]
            inverse.append(1 / count)
            values.append(float(distance(real[rows], generated[columns])))
    line = torch.tensor([[1.0, x] for x in inverse], dtype=torch.float64)
    return float(torch.linalg.lstsq(line, torch.tensor(values, dtype=torch.float64)[:, None]).solution[0])
