"""Random inputs of scans, and the measure by which a result is held to a float64 reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vdmbench.ops import Direction


@pytest.fixture
def random_direction() -> Callable[..., Direction]:
    """A Direction of random float64 values rounded to a dtype, every tensor a leaf that requires a gradient."""

    def make(
        batch: int, frames: int, channels: int, state: int, dtype: torch.dtype = torch.float64, seed: int = 0
    ) -> Direction:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        sequence = (batch, frames, channels)
        parts = (
            normal(*sequence),
            normal(*sequence),
            -torch.exp(normal(channels, state) / 2),
            normal(batch, frames, state),
            normal(batch, frames, state),
            normal(channels),
            normal(channels),
        )
        return Direction(*(part.to(dtype).requires_grad_() for part in parts))

    return make


@pytest.fixture
def relative_error() -> Callable[[Tensor, Tensor], float]:
    """|got - want| / |want| in float64; |got| where nothing is wanted."""

    def measure(got: Tensor, want: Tensor) -> float:
        assert got.shape == want.shape
        got, want = got.detach().double(), want.detach().double()
        return float((got - want).norm() / (want.norm() or 1))

    return measure
