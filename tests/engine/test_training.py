"""Training steps on a network small enough to know the answer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vdmbench.diffusion import Diffusion
from vdmbench.engine import NonFiniteState, Trainer
from vdmbench.engine.training import draw_seed, thin
from vdmbench.mixers.weight_decay import undecayed
from vdmbench.suite.averaging import ema_decay, initial_share
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
    expected = 1.0  # an average begins at the initial weights
    for weight in seen:
        expected = 0.75 * expected + 0.25 * weight
    assert one.sampled_network.weight.item() == pytest.approx(expected)
    assert trainer(ema=None).sampled_network.weight.item() == 1


def test_a_warm_up_of_the_average_forgets_the_initial_weights():
    one, expected = trainer(ema=0.9999, ema_warm_up=True), 1.0
    for step in range(4):
        one.step([clips(2)])
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * one.network.weight.item()
    assert one.sampled_network.weight.item() == pytest.approx(expected)
    assert ema_decay(0.9, 1000) == 0.9
    again = trainer(ema=0.9999, ema_warm_up=True)
    again.restore(one.state())
    for each in (one, again):
        each.step([clips(2)])
    assert again.sampled_network.weight.item() == one.sampled_network.weight.item()


def test_how_much_of_an_average_was_never_trained():
    one = trainer(ema=0.9, learning_rate=1e-9)
    with torch.no_grad():
        one.average.module.weight.fill_(0.0)  # in place of the initial weights, which the network keeps
    for _ in range(5):
        one.step([clips(2)])
    assert 1 - one.sampled_network.weight.item() == pytest.approx(initial_share(0.9, 5, warm_up=False), rel=1e-4)
    assert initial_share(0.9999, 100, warm_up=False) > 0.99
    assert initial_share(0.9999, 100, warm_up=True) < 1e-6


def test_the_learning_rate_of_a_step_is_what_the_optimiser_takes_and_goes_on_after_a_resume():
    schedule = {"steps": 8, "learning_rate_warm_up": 3, "schedule": "cosine", "ema": None}
    one, taken = trainer(**schedule), []
    for _ in range(4):
        one.step([clips(2)])
        taken.append(one.optimiser.param_groups[0]["lr"])
        if len(taken) == 1:
            assert 1 - one.network.weight.item() == pytest.approx(0.1 / 3, rel=1e-3), (
                "Adam's first step is as large as its rate"
            )
    assert taken == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1])
    again = trainer(**schedule)
    again.restore(one.state())
    for each in (one, again):
        each.step([clips(2)])
    assert again.optimiser.param_groups[0]["lr"] == one.optimiser.param_groups[0]["lr"] < 0.1
    assert again.network.weight.item() == one.network.weight.item()


class Mixed(nn.Module):
    """A parameter of every kind; what it computes does not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.matrix, self.norm = nn.Embedding(2, 3), nn.Linear(3, 3), nn.LayerNorm(3)
        self.marked, self.tall = undecayed(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
        self.register_buffer("mask", torch.full((2, 2), -torch.inf))

    def forward(self, x, t):
        everything = self.norm(self.matrix(self.embedding.weight)).sum() + (self.marked * self.tall).sum()
        return everything * x


def mixed(**settings) -> Trainer:
    train = Train(**{"steps": 9, "batch_size": 2, "optimiser": "adamw", "weight_decay": 0.1, "ema": 0.5, **settings})
    torch.manual_seed(0)
    return Trainer(Mixed(), Diffusion(steps=8), train, 0, torch.device("cpu"))


def test_decay_is_of_matrices_that_are_not_marked_and_no_embedding():
    one = mixed()
    names = {parameter: name for name, parameter in one.network.named_parameters()}
    groups = {group["weight_decay"]: {names[each] for each in group["params"]} for group in one.optimiser.param_groups}
    assert groups == {
        0.1: {"matrix.weight", "tall"},
        0.0: {"embedding.weight", "matrix.bias", "norm.weight", "norm.bias", "marked"},
    }
    assert len(mixed(weight_decay=0.0).optimiser.param_groups) == 1


def test_what_every_parameter_has_of_the_optimiser_comes_back_to_it():
    one, other = mixed(), mixed()
    for _ in range(2):
        one.step([clips(2)])
    other.restore(one.state())
    for each in (one, other):
        each.step([clips(2)])
    for (name, mine), theirs in zip(one.network.named_parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
        for part, value in one.optimiser.state[mine].items():
            assert torch.equal(value, other.optimiser.state[theirs][part]), (name, part)


def spoil(one: Trainer, where: str) -> None:
    with torch.no_grad():
        if where == "optimiser":
            one.optimiser.state[one.network.matrix.weight]["exp_avg_sq"][0, 0] = torch.inf
        else:
            module = one.network if where == "network" else one.average.module
            module.matrix.weight[1, 1] = torch.nan


@pytest.mark.parametrize("where", ["network", "optimiser", "average"])
def test_a_state_that_is_not_finite_is_not_given_out(where):
    one = mixed()
    one.step([clips(2)])
    assert one.state() is not None  # its mask is infinite, as masks are
    spoil(one, where)
    with pytest.raises(NonFiniteState, match=f"after step 1 {where}.*matrix.weight.* holds NaN or infinite values"):
        one.state()


def test_what_a_layer_draws_by_itself_follows_from_seed_and_step():
    class Noisy(Scale):
        def forward(self, x, t):
            return super().forward(x, t) + torch.randn(x.shape)

    losses = []
    for _ in range(2):
        one = Trainer(Noisy(), Diffusion(steps=8), Train(steps=2, batch_size=2), 0, torch.device("cpu"))
        losses.append([one.step([clips(2)]) for _ in range(2)])
        torch.manual_seed(99)
    assert losses[0] == losses[1]


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
