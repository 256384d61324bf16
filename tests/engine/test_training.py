"""Training steps on a network small enough to know the answer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vdmbench.diffusion import Diffusion
from vdmbench.engine import Trainer
from vdmbench.engine.training import draw_seed, thin
from vdmbench.suite.blocks import Train


class Scale(nn.Module):
    """One parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, t):
        return self.weight * x


def clips(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def trainer(**settings) -> Trainer:
    train = Train(**{"steps": 1, "batch_size": 2, "ema": 0.5, "learning_rate": 0.1, **settings})
    return Trainer(Scale(), Diffusion(steps=8), train, 0, torch.device("cpu"))


def test_the_average_follows_the_declared_decay():
    one = trainer(ema=0.75)
    seen = []
    for _ in range(3):
        one.step([clips(2)])
        seen.append(one.network.weight.item())
    expected = seen[0]  # an average begins at the first weights it is told
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    assert one.sampled_network.weight.item() == pytest.approx(expected)
    assert trainer(ema=None).sampled_network.weight.item() == 1


def test_accumulated_gradients_are_means():
    """Two parts give the mean of the gradients that each would give alone, at the same levels and noise."""
    gradients = []
    for part in (0, 1):
        alone = trainer()
        alone._loss(clips(2, part), part, None).backward()
        gradients.append(alone.network.weight.grad.item())
    both = trainer(accumulate=2)
    both.step([clips(2, 0), clips(2, 1)])
    assert both.network.weight.grad.item() == pytest.approx(sum(gradients) / 2, rel=1e-5)


def test_a_norm_is_clipped():
    one = trainer(clip_norm=1e-3)
    one.step([clips(2)])
    assert abs(one.network.weight.grad.item()) == pytest.approx(1e-3, rel=1e-3)


def test_draws_depend_on_every_part_of_what_they_are_for():
    seeds = {draw_seed("train", seed, step, part) for seed in range(5) for step in range(5) for part in range(5)}
    assert len(seeds) == 125
    assert max(seeds) < 2**63


def test_a_curve_is_thinned_to_means():
    steps, losses = thin([float(value) for value in range(1000)], points=10)
    assert steps == list(range(100, 1001, 100))
    assert losses[0] == pytest.approx(49.5)
    assert thin([], points=10) == ([], [])
    assert thin([3.0, 4.0], points=10) == ([1, 2], [3.0, 4.0])
