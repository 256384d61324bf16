"""Frames that come in chunks are predicted as in one pass over the whole clip, by every causal mixer."""

from __future__ import annotations

import pytest
import torch

from vdmbench.networks import build
from vdmbench.networks.condition import Condition
from vdmbench.networks.flops import skeleton_of

CAUSAL = {
    "identity": {},
    "mlp": {},
    "attention": {"causal": True},
    "attention-biased": {"causal": True, "relative_bias": True},
    "sliding-attention": {"causal": True, "window": 2},
    "linear-attention": {"causal": True, "feature_map": "relu"},
    "s4d": {},
    "mamba": {},
    "mamba2": {},
    "gated-delta-net": {},
    "lstm": {},
    "pair": {"first": {"name": "sliding-attention", "causal": True, "window": 2}, "second": {"name": "mamba"}},
}
UNET = {"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}
DIT = {"name": "dit", "base_channels": 16, "depth": 2, "patch": (1, 4, 4), "mlp_ratio": 1.0}
FRAMES = 6


def network_of(network: dict, mixer: str):
    torch.manual_seed(0)
    built = build(network, {"name": mixer.removesuffix("-biased"), **CAUSAL[mixer]}).double().eval()
    for parameter in built.parameters():  # heads and gates that start at zero would hide what is wrong
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return built


def in_chunks(network, x, t, size: int, condition: Condition | None = None):
    stream = network.initial_stream(len(x), *x.shape[3:])
    parts = []
    for first in range(0, x.shape[1], size):
        chunk = slice(first, first + size)
        told = condition and Condition(vector=condition.vector, frames=condition.frames[:, chunk])
        part, stream = network.step(x[:, chunk], t if t.dim() == 1 else t[:, chunk], stream, told)
        parts.append(part)
    return torch.cat(parts, 1), stream


@pytest.mark.parametrize("network", [UNET, DIT], ids=["unet3d", "dit"])
@pytest.mark.parametrize("mixer", CAUSAL)
@torch.no_grad()
def test_chunks_equal_the_whole(network: dict, mixer: str):
    built = network_of(network, mixer)
    x, t = torch.randn(2, FRAMES, 3, 8, 8).double(), torch.rand(2, FRAMES) * 100
    whole, layers = built(x, t), built.temporal_layers()
    sites = skeleton_of(built, FRAMES, 8, 8).sequences
    expected = sum(2 * sites[path].sites * layers[path].state_size(FRAMES) for path in layers)
    for size in (1, 3):
        parts, stream = in_chunks(built, x, t, size)
        torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-8)
        assert stream.frames == FRAMES
        assert stream.elements == expected
        assert stream.nbytes == 8 * stream.elements


@pytest.mark.parametrize("network", [UNET, {**DIT, "patch": (2, 4, 4)}], ids=["unet3d", "dit, two frames a token"])
@torch.no_grad()
def test_conditions_and_one_time_for_all_come_through(network: dict):
    built = network_of(network, "mamba")
    x, t = torch.randn(2, FRAMES, 3, 8, 8).double(), torch.tensor([3, 70])
    width = built.condition_width
    told = Condition(vector=torch.randn(2, width).double(), frames=torch.randn(2, FRAMES, width).double())
    torch.testing.assert_close(in_chunks(built, x, t, 2, told)[0], built(x, t, told), rtol=1e-6, atol=1e-8)


@torch.no_grad()
def test_a_step_leaves_its_stream_as_it_was():
    built = network_of(UNET, "attention")
    x, t = torch.randn(1, 4, 3, 8, 8).double(), torch.tensor([5])
    _, stream = in_chunks(built, x[:, :2], t, 2)
    first, _ = built.step(x[:, 2:3], t, stream)
    built.step(torch.randn(1, 1, 3, 8, 8).double(), t, stream)
    again, after = built.step(x[:, 2:3], t, stream)
    assert torch.equal(first, again)
    assert (stream.frames, after.frames) == (2, 3)


@pytest.mark.parametrize(
    ("network", "mixer", "remedy"),
    [
        (UNET, {"name": "mamba", "direction": "both"}, "stem_temporal its mixer, Mamba, sees the future.*direction: forward"),
        (UNET, {"name": "hydra"}, "Hydra, sees the future.*take another"),
        ({**UNET, "preset": "oshima2024"}, {"name": "mamba"}, "use preset 'fair'"),
        (DIT, {"pattern": [{"mixer": {"name": "mamba"}, "scan": "h"}]}, "blocks.0.mix scan 'h'.*use scan 'site'"),
    ],
)
def test_what_needs_whole_clips_is_refused(network: dict, mixer: dict, remedy: str):
    with pytest.raises(ValueError, match=remedy):
        build(network, mixer).initial_stream(1, 8, 8)


def test_another_size_begins_another_stream():
    built = network_of(UNET, "mamba")
    with pytest.raises(ValueError, match="begin another stream"):
        built.step(torch.zeros(1, 1, 3, 8, 8), torch.tensor([1]), built.initial_stream(2, 8, 8))


@pytest.mark.parametrize("mixer", CAUSAL)
@torch.no_grad()
def test_a_state_after_frames_is_as_large_as_one_that_saw_them(mixer: str):
    (first, *_) = network_of(DIT, mixer).temporal_layers().values()
    state = first.initial_state(2)
    for _ in range(5):
        _, state = first.step(torch.randn(2, 16).double(), state)

    def shapes(part):
        return part.shape if isinstance(part, torch.Tensor) else [shapes(each) for each in part]

    assert shapes(first.state_after(2, 5)) == shapes(state)
