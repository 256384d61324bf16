"""Patterns: the mixer of each place is the one declared for it."""

from __future__ import annotations

import pytest
import torch

from vdmbench.mixers.attention import Attention
from vdmbench.mixers.identity import Identity
from vdmbench.mixers.lstm import LSTM
from vdmbench.mixers.s4d import S4D
from vdmbench.networks import build, count_parameters
from vdmbench.networks.placement import Placement
from vdmbench.networks.unet3d import UNet3D

NETWORK = {"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}
PATTERN = {
    "stem": {"name": "s4d"},
    "levels": [{"name": "lstm", "expand": 2.0}, {"name": "identity"}],
    "middle": {"name": "attention", "head_dim": 8},
}


def test_every_place_has_its_mixer_and_both_ways_of_a_level_the_same():
    network = build(NETWORK, PATTERN)
    assert {path: type(mixer) for path, mixer in network.temporal_layers().items()} == {
        "stem_temporal": S4D,
        "down.0.temporal": LSTM,
        "down.1.temporal": Identity,
        "middle.temporal": Attention,
        "up.0.temporal": Identity,
        "up.1.temporal": LSTM,
    }
    assert network.down[0].temporal.mixer.inner_width == 16
    x = torch.randn(1, 3, 3, 8, 8)
    assert network(x, torch.zeros(1)).shape == x.shape


def test_one_mixer_everywhere_is_a_pattern_of_it():
    torch.manual_seed(0)
    uniform = build(NETWORK, {"name": "s4d"})
    torch.manual_seed(0)
    pattern = build(NETWORK, {"stem": {"name": "s4d"}, "levels": [{"name": "s4d"}] * 2, "middle": {"name": "s4d"}})
    assert count_parameters(pattern) == count_parameters(uniform)
    assert all(torch.equal(one, other) for one, other in zip(uniform.parameters(), pattern.parameters(), strict=True))


def test_a_placement_of_another_number_of_levels_is_refused():
    with pytest.raises(ValueError, match="a mixer for each of 4 levels is wanted, got 1"):
        UNet3D(mixer=Placement(Identity, [Identity], Identity))
