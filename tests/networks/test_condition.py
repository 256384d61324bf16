"""What networks are told beside the noisy clip: one time a clip or a frame, and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from vdmbench.networks import Condition, build

NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unet3d": ({"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}, {"name": "identity"}),
    "dit": ({"name": "dit", "base_channels": 16, "depth": 2}, {"name": "identity"}),
}


def make(name: str) -> Any:
    """Seeded, and nothing of it zero, as a fresh DiT's gates are."""
    torch.manual_seed(0)
    network = build(*NETWORKS[name])
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def refused(message: str) -> Iterator[None]:
    """The refusal by name, or that of the annotation before it where annotations are checked."""
    with pytest.raises((ValueError, TypeCheckError)) as refusal:
        yield
    assert isinstance(refusal.value, TypeCheckError) or re.search(message, str(refusal.value))


@pytest.fixture(params=NETWORKS)
def network(request) -> Any:
    return make(request.param)


def test_one_time_for_all_frames_is_that_time_of_the_clip(network):
    x, t = noise(2, 4, 3, 8, 8), torch.tensor([3, 90])
    with torch.no_grad():
        torch.testing.assert_close(network(x, t[:, None].expand(-1, 4)), network(x, t), atol=1e-5, rtol=1e-4)


def test_a_frames_time_concerns_that_frame(network):
    """Without temporal mixing: frames at noise levels of their own are as in clips of that level."""
    x, t = noise(1, 3, 3, 8, 8), torch.tensor([[1.0, 50.0, 200.0]])
    with torch.no_grad():
        mixed = network(x, t)
        for frame in range(3):
            torch.testing.assert_close(mixed[:, frame], network(x, t[:, frame])[:, frame], atol=1e-5, rtol=1e-4)


def test_vector_and_frames_are_heard_where_they_belong(network):
    x, t, width = noise(2, 3, 3, 8, 8), torch.tensor([5, 70]), network.condition_width
    vector, frames = noise(2, width), noise(2, 3, width, seed=2)
    with torch.no_grad():
        plain = network(x, t)
        torch.testing.assert_close(network(x, t, Condition(vector=torch.zeros(2, width))), plain)
        one = vector.clone()
        one[1] = 0
        told = network(x, t, Condition(vector=one))
        assert (told[0] - plain[0]).abs().max() > 1e-3
        torch.testing.assert_close(told[1], plain[1], atol=1e-5, rtol=1e-4)
        action = torch.zeros(2, 3, width)
        action[:, 1] = frames[:, 1]
        changed = (network(x, t, Condition(frames=action)) - plain).abs().amax((0, 2, 3, 4))
        assert changed[1] > 1e-3
        assert changed[[0, 2]].max() < 1e-4
        both = network(x, t, Condition(vector=vector, frames=frames))
        torch.testing.assert_close(both, network(x, t, Condition(frames=frames + vector[:, None])), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"vector": (2, 3)}, r"vector must be \(2, \d+\) for 2 clips of 3 frames, got \(2, 3\).*condition_width"),
        ({"frames": (2, 4, None)}, r"frames must be \(2, 3, \d+\)"),
    ],
)
def test_a_condition_of_other_clips_is_refused(network, parts, message):
    shapes = {name: [network.condition_width if size is None else size for size in shape] for name, shape in parts.items()}
    condition = Condition(**{name: noise(*shape) for name, shape in shapes.items()})
    with pytest.raises(ValueError, match=message):
        network(noise(2, 3, 3, 8, 8), torch.tensor([5, 70]), condition)


def test_times_that_fit_neither_clips_nor_frames_are_refused(network):
    with refused("one time for each of 2 clips, or for each of their 3 frames"):
        network(noise(2, 3, 3, 8, 8), torch.zeros(2, 2))


def test_the_unet_says_what_takes_tokens():
    network = make("unet3d")
    tokens = noise(1, 5, network.condition_width)
    with pytest.raises(ValueError, match=r"unet3d has no cross-attention.*use network dit"):
        network(noise(1, 2, 3, 8, 8), torch.tensor([1]), Condition(tokens=tokens))


def test_parts_that_do_not_agree_are_refused():
    with refused("one batch and width"):
        Condition(vector=noise(2, 8), tokens=noise(2, 3, 16))
    with refused("no tokens"):
        Condition(vector=noise(2, 8), mask=torch.ones(2, 3, dtype=torch.bool))
