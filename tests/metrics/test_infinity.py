from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.infinity import infinite_distance


def distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return frechet_distance(Gaussian.fit(x), Gaussian.fit(y))


def test_takes_the_sampling_bias_away():
    generator = torch.Generator().manual_seed(0)
    real, same = torch.randn(2, 512, 24, generator=generator)
    floor = float(distance(real, same))
    assert floor > 0.5
    assert abs(infinite_distance(distance, real, same)) < 0.15 * floor
    assert infinite_distance(distance, real, same + 1) == pytest.approx(24, rel=0.05)


def test_says_nothing_where_the_bias_is_not_linear():
    assert infinite_distance(distance, torch.zeros(255, 3), torch.zeros(1000, 3)) is None
