"""Branches that start equally large, whatever mixer they hold."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.engine.test_held_out_loss import experiment
from vdmbench import registry
from vdmbench.engine.training import Trainer
from vdmbench.matching.cost import parameters
from vdmbench.mixers import Mixer
from vdmbench.mixers.identity import Identity
from vdmbench.mixers.weight_decay import decayed_names
from vdmbench.networks import build
from vdmbench.networks.initial_draws import drawn_by_path
from vdmbench.networks.initial_gains import set_gains
from vdmbench.networks.temporal_layer import TemporalLayer
from vdmbench.suite import SuiteError

FRAMES, SIZE, GAIN = 12, 8, 0.25
UNET = {"name": "unet3d", "base_channels": 16, "multipliers": [1, 2], "initial_gain": GAIN}
DIT = {"name": "dit", "base_channels": 32, "depth": 2, "patch": [1, 4, 4], "initial_gain": GAIN}
MIXERS = [entry.name for entry in registry.mixers if entry.name not in ("identity", "pair")]


def made(network: dict, mixer: dict, seed: int = 0):
    network = drawn_by_path(lambda: build(network, mixer), seed)
    set_gains(network, FRAMES, SIZE, SIZE)
    return network


def rms(x: torch.Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())


@pytest.mark.parametrize("name", MIXERS)
def test_every_branch_starts_at_the_declared_size(name):
    x = torch.randn(16 * FRAMES, 32, 4, 4, generator=torch.Generator().manual_seed(5))
    for path, layer in made(UNET, {"name": name}).mixer_layers().items():
        own = x[:, : layer.norm.gain.numel()]
        assert rms(layer(own, FRAMES) - own) == pytest.approx(GAIN * rms(own), rel=0.06), path
    for path, layer in made(DIT, {"name": name}).mixer_layers().items():
        grid = torch.randn(16, FRAMES, 2, 2, 32, generator=torch.Generator().manual_seed(5))
        assert rms(layer(grid)) == pytest.approx(GAIN * rms(grid), rel=0.06), path


def test_it_is_one_learnt_number_a_layer_that_plans_count_and_nothing_decays():
    for declared in (UNET, DIT):
        with_gain, without = (
            parameters({**declared, "initial_gain": gain}, {"name": "mamba"}).network for gain in (GAIN, None)
        )
        layers = made(declared, {"name": "mamba"}).mixer_layers()
        assert with_gain - without == len(layers)
        assert all(layer.gain.requires_grad and layer.gain.shape == (1,) for layer in layers.values())
    assert not [name for name in decayed_names(made(UNET, {"name": "mamba"})) if name.endswith("temporal.gain")]
    assert parameters(UNET, {"name": "identity"}) == parameters({**UNET, "initial_gain": None}, {"name": "identity"})


def test_it_follows_from_the_declaration_and_the_seed():
    def gains(seed: int, mixer: str = "mamba") -> list[float]:
        return [float(layer.gain.detach()) for layer in made(UNET, {"name": mixer}, seed).mixer_layers().values()]

    torch.manual_seed(1)
    once = gains(0)
    torch.rand(7)
    assert gains(0) == once != gains(1)


def test_whatever_a_mixer_is_asked_to_run_on_it_is_measured_here():
    by_name = made(UNET, {"name": "mamba", "backend": "triton"})
    auto = made(UNET, {"name": "mamba"})
    for one, other in zip(by_name.mixer_layers().values(), auto.mixer_layers().values(), strict=True):
        assert torch.equal(one.gain, other.gain)


class Odd(Mixer):
    """A mixer of a user: what it does to its input is ``made``."""

    def __init__(self, made) -> None:
        super().__init__(16, causal=False)
        self.made = made

    def forward(self, x):
        return self.made(x)

    def state_size(self, frames):
        return 0

    def flops(self, frames):
        return 0


class Alone(nn.Module):
    def __init__(self, made) -> None:
        super().__init__()
        self.layer = TemporalLayer(16, lambda channels: Odd(made), initial_gain=GAIN)


def test_a_mixer_that_starts_at_zero_keeps_one_and_one_that_cannot_be_measured_is_named():
    from vdmbench.networks.initial_gains import _gain

    assert _gain(Alone(torch.zeros_like).layer, 4) == 1.0
    assert _gain(Alone(lambda x: 5 * x).layer, 4) == pytest.approx(GAIN / 5, rel=1e-2)
    with pytest.raises(ValueError, match=r"behind Odd cannot be set.*needs a device.*set network\.initial_gain to null"):
        _gain(Alone(_refuses).layer, 4)
    with pytest.raises(ValueError, match="gives NaN"):
        _gain(Alone(lambda x: x / 0).layer, 4)
    assert TemporalLayer(16, lambda channels: Identity(channels), initial_gain=GAIN).gain is None


def _refuses(x):
    raise RuntimeError("needs a device")


def test_chunks_are_scaled_as_whole_clips_are():
    network = made(UNET, {"name": "mamba"}).eval()
    clip, t = torch.randn(1, FRAMES, 3, SIZE, SIZE), torch.zeros(1)
    with torch.no_grad():
        whole = network(clip, t)
        first, stream = network.step(clip[:, :5], t, network.initial_stream(1, SIZE, SIZE))
        second, _ = network.step(clip[:, 5:], t, stream)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-4)


def test_a_cell_has_it_by_default_for_its_own_length_and_trains_it():
    cell = experiment(variant="uni")
    network = cell.build_network()
    assert cell.network["initial_gain"] == 0.1
    before = [layer.gain.item() for layer in network.mixer_layers().values()]
    assert before != [1.0] * len(before)
    trainer = Trainer(network, cell.diffusion, cell.inputs.train, 0, torch.device("cpu"))
    trainer.step([torch.randint(0, 256, (2, 6, 3, 16, 16), dtype=torch.uint8)])
    assert all(layer.gain.item() != was for layer, was in zip(network.mixer_layers().values(), before, strict=True))


def test_published_initialisation_has_none():
    published = experiment("network.preset=oshima2024", variant="uni")
    assert published.network["initial_gain"] is None  # as the record says, too
    assert not [name for name, _ in published.build_network().named_parameters() if name.endswith("temporal.gain")]
    with pytest.raises(SuiteError, match=r"network\.initial_gain: preset oshima2024 is as published"):
        experiment("network.preset=oshima2024", "network.initial_gain=0.2")
    with pytest.raises(SuiteError, match=r"network\.initial_gain.*greater than 0"):
        experiment("network.initial_gain=0")
