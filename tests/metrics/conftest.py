"""Procedural clips with real motion, small enough that a whole distance takes milliseconds, and the published I3D weights."""

from __future__ import annotations

import math
import os

import pytest
import torch

from vdmbench.metrics.archive import WeightsUnavailable
from vdmbench.metrics.i3d.weights import cached_weights, fetch_weights


def moving_discs(clips: int, seed: int, frames: int = 16, side: int = 32, drift: float | None = None) -> torch.Tensor:
    """Two discs a clip that drift on a plain ground and wrap around; ``drift`` fixes one direction for all (radians)."""
    generator = torch.Generator().manual_seed(seed)
    ground = 0.4 * torch.rand(clips, 1, 3, 1, 1, generator=generator)
    video = ground.expand(clips, frames, 3, side, side).clone()
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    time = torch.arange(frames)[None, :, None, None]
    for _ in range(2):
        start = side * torch.rand(2, clips, 1, 1, 1, generator=generator)
        speed = 0.5 + 1.5 * torch.rand(clips, 1, 1, 1, generator=generator)
        angle = 2 * math.pi * torch.rand(clips, 1, 1, 1, generator=generator) if drift is None else torch.tensor(drift)
        colour = 0.4 + 0.6 * torch.rand(clips, 1, 3, 1, 1, generator=generator)
        y = (start[0] + speed * time * torch.sin(angle)) % side
        x = (start[1] + speed * time * torch.cos(angle)) % side
        disc = (rows - y).square() + (columns - x).square() < 16
        video = torch.where(disc[:, :, None], colour, video)
    return (255 * video).round().to(torch.uint8)


@pytest.fixture(scope="session")
def discs():
    """The maker of clips."""
    return moving_discs


@pytest.fixture(scope="session")
def weights():
    """Path of the converted weights, fetched once; without a network the tests that need them are skipped with the reason."""
    if not cached_weights().exists():
        try:
            fetch_weights()
        except WeightsUnavailable as reason:
            if os.environ.get("VDMBENCH_REQUIRE_WEIGHTS") == "1":
                raise
            pytest.skip(str(reason))
    return cached_weights()
