"""Precision, recall, density and coverage: whether generated clips are plausible, and whether they are all kinds of them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NEIGHBOURS = 5
BLOCK = 1024


def manifold_scores(
    real: Float[Tensor, "real features"], generated: Float[Tensor, "generated features"], neighbours: int = NEIGHBOURS
) -> dict[str, float] | None:
    """Shares in [0, 1] (density may exceed 1), from balls around each clip that reach its k-th nearest of the same set.

    Precision and recall: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models",
    eq. 1 to 2. Density and coverage: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models",
    eq. 3 and 5, with their k = 5. None where a side has no more clips than neighbours.
    """
    if min(len(real), len(generated)) <= neighbours:
        return None
    real, generated = real.double(), generated.double()
    real_reach, generated_reach = _reach(real, neighbours), _reach(generated, neighbours)
    inside, recalled, nearest = [], [], torch.full((len(real),), torch.inf, dtype=torch.float64)
    for block, reach in zip(generated.split(BLOCK), generated_reach.split(BLOCK), strict=True):
        gaps = torch.cdist(real, block)
        inside.append((gaps <= real_reach[:, None]).sum(0))
        recalled.append((gaps <= reach[None]).any(1))
        nearest = torch.minimum(nearest, gaps.min(1).values)
    balls = torch.cat(inside).double()
    return {
        "precision": float((balls > 0).double().mean()),
        "recall": float(torch.stack(recalled).any(0).double().mean()),
        "density": float(balls.mean() / neighbours),
        "coverage": float((nearest <= real_reach).double().mean()),
    }


def _reach(features: Float[Tensor, "clips features"], neighbours: int) -> Float[Tensor, " clips"]:
    """Distance of each clip to its k-th nearest other clip."""
    blocks = [torch.cdist(block, features).kthvalue(neighbours + 1, dim=1).values for block in features.split(BLOCK)]
    return torch.cat(blocks)
