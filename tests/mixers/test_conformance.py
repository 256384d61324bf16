"""The conformance checks: every mixer of the registry passes them, and each fault fails the check that is named for it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vdmbench import registry
from vdmbench.mixers import Mixer
from vdmbench.mixers.conformance import CHECKS, check_mixer


@pytest.mark.parametrize("name", [entry.name for entry in registry.mixers])
def test_every_registered_mixer_passes(name: str) -> None:
    checks = check_mixer(registry.mixers[name].load())
    assert [check.name for check in checks] == ["construction", *CHECKS]
    assert {check.name: check.reason for check in checks if not check.passed} == {}


@pytest.mark.parametrize("direction", ["backward", "both"])
@pytest.mark.parametrize("name", ["s4d", "mamba", "mamba2", "gated-delta-net", "lstm"])
def test_it_passes_in_its_other_directions_too(name: str, direction: str) -> None:
    checks = check_mixer(partial(registry.mixers[name].load(), direction=direction))
    assert {check.name: check.reason for check in checks if not check.passed} == {}


@pytest.mark.parametrize("name", ["attention", "sliding-attention"])
def test_it_passes_where_it_is_made_causal(name: str) -> None:
    checks = check_mixer(partial(registry.mixers[name].load(), causal=True))
    assert {check.name: check.reason for check in checks if not check.passed} == {}


class Sum(Mixer):
    """A running sum between two maps: causal and right, for faults to derive from."""

    def __init__(self, channels: int, *, causal: bool = True) -> None:
        super().__init__(channels, causal=causal)
        self.inner_width = channels
        self.map = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x).cumsum(1)

    def initial_state(self, batch: int) -> Tensor:
        return self.map.weight.new_zeros(batch, self.channels)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        state = state + self.map(x)
        return state, state

    def state_size(self, frames: int) -> int:
        return self.channels

    def flops(self, frames: int) -> int:
        return frames * (2 * self.channels**2 + self.channels)


class Cropped(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-1]


class Widening(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).double() if x.dtype is torch.float32 else super().forward(x)


class Noisy(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(())


class Centred(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class FixedLength(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.shape[1] <= 9 else super().forward(x)[:, :9]


class Detached(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach()) + 0 * x


class Unused(Sum):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.spare = nn.Parameter(torch.zeros(1))


class Peeking(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return self.map(x).flip(1).cumsum(1).flip(1)


class Shy(Sum):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, causal=False)


class Forgetful(Sum):
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        return self.map(x), state


class Understated(Sum):
    def state_size(self, frames: int) -> int:
        return 1


class Fractional(Sum):
    def flops(self, frames: int) -> int:
        return frames / 2  # type: ignore[return-value]


class Stepless(Mixer):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, causal=True)
        self.inner_width = channels

    def forward(self, x: Tensor) -> Tensor:
        return x

    def state_size(self, frames: int) -> int:
        return 0

    flops = state_size


def test_a_right_mixer_passes() -> None:
    assert all(check.passed for check in check_mixer(Sum))


@pytest.mark.parametrize(
    ("mixer", "check", "reason"),
    [
        (Cropped, "shape", r"\(4, 9, 16\) became \(4, 9, 15\)"),
        (Widening, "dtype", "torch.float32 became torch.float64"),
        (Noisy, "determinism", "two passes over one clip differ"),
        (Centred, "batch permutation", "an element alone and in a batch: they differ"),
        (FixedLength, "length generalisation", "33 frames became 9"),
        (Detached, "gradient", "the slope by gradients"),
        (Unused, "gradient", "spare gets no gradient"),
        (Peeking, "causality", "causal is True, yet frame 4 depends on later ones"),
        (Shy, "causality", "causal is False, yet frame 4 depends on no later one"),
        (Forgetful, "step equality", "frame by frame and in one pass: they differ"),
        (Understated, "step equality", "after 1 frames step carries 16 numbers a site, state_size says 1"),
        (Stepless, "step equality", "Stepless is causal and has no initial_state and step"),
        (Fractional, "cost", "flops must return int, got float"),
    ],
)
def test_a_fault_fails_its_check_with_the_reason(mixer: Any, check: str, reason: str) -> None:
    failed = {each.name: each.reason for each in check_mixer(mixer) if not each.passed}
    assert re.search(reason, failed[check]), failed


def test_what_cannot_be_built_says_why() -> None:
    def broken(channels: int) -> Mixer:
        raise RuntimeError("no such\nlayer")

    (check,) = check_mixer(broken)
    assert (check.passed, check.reason) == (False, "RuntimeError: no such layer")
    (check,) = check_mixer(lambda channels: nn.Linear(channels, channels))  # type: ignore[arg-type,return-value]
    assert check.reason == "it must derive vdmbench.mixers.Mixer, got Linear"
