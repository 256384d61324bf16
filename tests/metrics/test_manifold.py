from __future__ import annotations

import pytest
import torch

from vdmbench.metrics import manifold
from vdmbench.metrics.manifold import manifold_scores


def normal(count: int, seed: int, size: int = 4) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def direct(real: torch.Tensor, fake: torch.Tensor, k: int) -> dict[str, float]:
    """The definitions, clip by clip."""

    def reach(x):
        return [sorted(float((a - b).norm()) for b in x)[k] for a in x]

    real_reach, fake_reach = reach(real), reach(fake)
    balls = [sum(float((r - f).norm()) <= reach for r, reach in zip(real, real_reach, strict=True)) for f in fake]
    return {
        "precision": sum(b > 0 for b in balls) / len(fake),
        "recall": sum(any(float((r - f).norm()) <= h for f, h in zip(fake, fake_reach, strict=True)) for r in real) / 15,
        "density": sum(balls) / (k * len(fake)),
        "coverage": sum(any(float((r - f).norm()) <= h for f in fake) for r, h in zip(real, real_reach, strict=True)) / 15,
    }


def test_equals_the_definitions_in_blocks(monkeypatch):
    real, fake = normal(15, 0), normal(12, 1) + 0.5
    expected = direct(real, fake, 3)
    assert manifold_scores(real, fake, 3) == pytest.approx(expected)
    monkeypatch.setattr(manifold, "BLOCK", 4)
    assert manifold_scores(real, fake, 3) == pytest.approx(expected)


def test_a_lost_mode_costs_recall_and_a_strange_one_precision():
    real = torch.cat([normal(100, 0), normal(100, 1) + 20])
    lost = manifold_scores(real, normal(200, 2))
    assert lost["recall"] < 0.6
    assert lost["coverage"] < 0.6
    assert lost["precision"] > 0.8
    strange = manifold_scores(real, torch.cat([normal(100, 2), normal(100, 3) + 20, normal(200, 4) - 40]))
    assert strange["precision"] < 0.6
    assert strange["recall"] > 0.8


def test_too_few_clips_have_no_neighbours():
    assert manifold_scores(normal(5, 0), normal(50, 1)) is None
