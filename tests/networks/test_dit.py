"""The diffusion transformer with every mixer of the registry, and over every scan order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vdmbench import registry
from vdmbench.networks import Condition, build, count_parameters
from vdmbench.networks.dit import DiT
from vdmbench.networks.flops import skeleton_of

SMALL: dict[str, Any] = {"name": "dit", "base_channels": 16, "depth": 2}
NAMES = [entry.name for entry in registry.mixers]
SIZES = ("dit-5m", "dit-20m", "dit-130m", "dit-1b", "dit-5b")
UNORDERED = {"name": "attention", "rotary": False, "head_dim": 8}


def blocks(*pattern: tuple[dict[str, Any], str], repeat: int | None = None) -> dict[str, Any]:
    return {"pattern": [{"mixer": mixer, "scan": scan} for mixer, scan in pattern], "repeat": repeat}


def make(mixer: dict[str, Any], **network: Any) -> Any:
    """Seeded, and with gates that a training would have opened: adaLN-zero starts every block as the identity."""
    torch.manual_seed(0)
    made = build({**SMALL, **network}, mixer)
    for parameter in made.parameters():
        if not parameter.count_nonzero():
            nn.init.normal_(parameter, std=0.2)
    return made


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("name", NAMES)
def test_any_mixer_at_any_length_and_size(name: str) -> None:
    network = make({"name": name})
    for shape in ((2, 1, 3, 4, 4), (1, 5, 3, 4, 8)):
        x = noise(*shape)
        y = network(x, torch.full(shape[:1], 7))
        assert y.shape == x.shape
        assert y.is_contiguous()
        assert y.isfinite().all()
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_starts_as_zero_with_every_block_the_identity() -> None:
    torch.manual_seed(0)
    network = build(SMALL, {"name": "mamba"})
    identities: list[bool] = []
    for block in network.blocks:
        block.register_forward_hook(lambda _, inputs, output: identities.append(torch.equal(inputs[0], output)))
    assert not network(noise(1, 2, 3, 4, 4), torch.tensor([3])).any()
    assert identities == [True, True]


@pytest.mark.parametrize("scan", ["v", "t", "z", "b2x2", "b3x1"])
def test_attention_does_not_know_the_order_in_which_it_reads(scan: str) -> None:
    x, t = noise(2, 3, 3, 8, 4, dtype=torch.float64), torch.tensor([3, 70])
    with torch.no_grad():
        across, along = (make(blocks((UNORDERED, order))).double()(x, t) for order in (scan, "h"))
    torch.testing.assert_close(across, along, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("scan", ["v", "t", "z", "b2x2", "site", "frame"])
def test_a_scan_does(scan: str) -> None:
    x, t = noise(2, 3, 3, 8, 8), torch.tensor([3, 70])
    mamba = {"name": "mamba"}
    with torch.no_grad():
        assert (make(blocks((mamba, scan)))(x, t) - make(blocks((mamba, "h")))(x, t)).abs().max() > 1e-4


def frames_heard(network: nn.Module) -> Tensor:
    """How far each frame of five changes frame 2 of the output."""
    x = noise(1, 5, 3, 4, 4, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x, torch.tensor([40]))[:, 2].square().sum(), x)
    return gradient.abs().amax((0, 2, 3, 4))


@pytest.mark.parametrize(
    ("mixer", "heard"),
    [
        ({"name": "identity"}, [2]),
        ({"name": "mamba"}, [0, 1, 2]),
        ({"name": "mamba", "direction": "both"}, [0, 1, 2, 3, 4]),
        (blocks(({"name": "attention"}, "frame"), ({"name": "hydra"}, "frame")), [2]),
        (blocks(({"name": "mamba"}, "h"), ({"name": "mamba"}, "b2x1")), [0, 1, 2]),  # frames are slowest there
        (blocks(({"name": "mamba"}, "t"), ({"name": "identity"}, "h")), [0, 1, 2, 3, 4]),  # places before it hold later frames
        (blocks(({"name": "attention"}, "h"), ({"name": "identity"}, "frame")), [0, 1, 2, 3, 4]),
    ],
)
def test_frames_meet_in_temporal_layers_alone(mixer: dict[str, Any], heard: list[int]) -> None:
    reach = frames_heard(make(mixer).double())
    assert (reach > 1e-12).nonzero().flatten().tolist() == heard


def test_one_mixer_takes_turns_with_attention_within_frames() -> None:
    network = make({"name": "s4d"}, depth=4)
    layers = network.temporal_layers()
    assert list(layers) == ["blocks.1.mix", "blocks.3.mix"]
    assert {type(layer).__name__ for layer in layers.values()} == {"S4D"}
    temporal = sum(p.numel() for layer in layers.values() for p in layer.parameters())
    floor = count_parameters(make({"name": "identity"}, depth=4))
    modulation = 2 * 3 * (16 * 16 + 16)  # shift, scale and gate of the two blocks that mix nothing
    assert count_parameters(network) == {"network": floor["network"] + modulation + temporal, "temporal": temporal}


def test_a_block_with_the_mixer_identity_mixes_nothing() -> None:
    network = make({"name": "identity"}, depth=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    network.blocks[1].mix.forward = None  # it is never asked
    x = noise(1, 3, 3, 4, 4)
    network(x, torch.tensor([40])).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_only_scans_across_frames_count_as_temporal() -> None:
    network = make(blocks(({"name": "mamba"}, "frame"), ({"name": "mamba"}, "t"), ({"name": "lstm"}, "site")), depth=6)
    assert list(network.temporal_layers()) == ["blocks.1.mix", "blocks.2.mix", "blocks.4.mix", "blocks.5.mix"]


@pytest.mark.parametrize("name", NAMES)
def test_builds_without_memory(name: str) -> None:
    mixer = blocks(({"name": name}, "z"), ({"name": name}, "frame"))
    with torch.device("meta"):
        planned = build({**SMALL, "cross_attention": True}, mixer)
    real = make(mixer, cross_attention=True)
    assert all(p.is_meta for p in planned.parameters())
    assert {key: p.shape for key, p in planned.named_parameters()} == {key: p.shape for key, p in real.named_parameters()}
    assert planned.flops(3, 8, 8) == real.flops(3, 8, 8)


def test_parameters_by_hand() -> None:
    C, depth, patch = 16, 2, 3 * 2 * 2
    block = 4 * C * C + (8 * C * C + 5 * C) + (6 * C * C + 6 * C)  # attention without biases, perceptron, adaLN
    ends = (patch * C + C) + (256 * C + C + C * C + C) + (2 * C * C + 2 * C) + (C * patch + patch)
    assert count_parameters(make(blocks((UNORDERED, "h")))) == {"network": depth * block + ends, "temporal": depth * 4 * C * C}


def test_flops_by_hand_and_by_pytorchs_counter() -> None:
    C, frames, places = 16, 4, 4 * 4
    math = {**UNORDERED, "backend": "math"}
    network = make(blocks((math, "frame"), (math, "t")))
    tokens = frames * places
    linear = tokens * (2 * 4 * C * C + 2 * 8 * C * C + 2 * 12 * C)  # attention and perceptron of two blocks, both ends
    modulation = (6 + 6 + 2) * C * C + 256 * C + C * C
    scores = 2 * C * (frames * places**2 + tokens**2)
    softmax = 5 * 2 * (frames * places**2 + tokens**2)  # two heads
    assert network.flops(frames, 8, 8) == 2 * (linear + modulation + scores) + softmax
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, frames, 3, 8, 8), torch.zeros(1))
    assert network.flops(frames, 8, 8) == counter.get_total_flops() + softmax
    assert list(skeleton_of(network, frames, 8, 8).sequences.values()) == [(frames, places), (1, tokens)]


def test_trains_in_bfloat16_autocast() -> None:
    network = make(blocks(({"name": "hydra"}, "v"), ({"name": "attention"}, "h")), cross_attention=True)
    x, t = noise(1, 4, 3, 4, 4), torch.tensor([9])
    condition = Condition(tokens=noise(1, 3, 16))
    with torch.no_grad():
        exact = network(x, t, condition)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x, t, condition)
    y.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert (y.float() - exact).norm() < 0.1 * exact.norm()


def test_gradients_are_those_of_finite_differences() -> None:
    mixer = blocks(({"name": "mamba", "state": 2}, "z"), (UNORDERED, "b1x2"))
    network = make(mixer, base_channels=8, channels=1, patch=(1, 1, 1)).double()
    x, t = noise(1, 2, 1, 2, 2, dtype=torch.float64).requires_grad_(), torch.tensor([[5, 9]])
    assert torch.autograd.gradcheck(lambda clip: network(clip, t), (x,), fast_mode=True)


def test_tokens_are_attended_to_where_they_count() -> None:
    network = make({"name": "identity"}, cross_attention=True)
    x, t, tokens = noise(2, 2, 3, 4, 4), torch.tensor([5, 70]), noise(2, 3, 16)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    changed = tokens.clone()
    changed[0, 2] += 1
    with torch.no_grad():
        plain = network(x, t)
        told = network(x, t, Condition(tokens=tokens, mask=mask))
        assert (told[0] - plain[0]).abs().max() > 1e-3
        torch.testing.assert_close(told[1], plain[1], atol=1e-5, rtol=1e-4)  # all masked: as without a text
        torch.testing.assert_close(network(x, t, Condition(tokens=changed, mask=mask)), told)
        assert (network(x, t, Condition(tokens=changed)) - told).abs().max() > 1e-3
        # A text has no order of its own here: that is for its encoder to say.
        torch.testing.assert_close(
            network(x, t, Condition(tokens=tokens.flip(1))), network(x, t, Condition(tokens=tokens)), atol=1e-5, rtol=1e-4
        )
    with pytest.raises(ValueError, match="set its cross_attention to true"):
        make({"name": "identity"})(x, t, Condition(tokens=tokens))


def test_tokens_of_several_frames_are_at_one_time() -> None:
    network = make({"name": "attention"}, patch=(2, 2, 2))
    x = noise(1, 4, 3, 4, 4)
    with torch.no_grad():
        at_once = network(x, torch.tensor([[3.0, 3.0, 3.0, 3.0]]))
        torch.testing.assert_close(at_once, network(x, torch.tensor([3.0])), atol=1e-5, rtol=1e-4)
        assert (network(x, torch.tensor([[3.0, 3.0, 90.0, 90.0]])) - at_once).abs().max() > 1e-3
        frames = noise(1, 4, 16)
        mean = frames.unflatten(1, (2, 2)).mean(2, keepdim=True).expand(-1, -1, 2, -1).flatten(1, 2)
        told = network(x, torch.tensor([3]), Condition(frames=frames))
        torch.testing.assert_close(told, network(x, torch.tensor([3]), Condition(frames=mean)), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"must be at one diffusion time.*or use a patch of 1 frame"):
        network(x, torch.tensor([[3.0, 4.0, 3.0, 3.0]]))


@pytest.mark.parametrize("name", SIZES)
def test_presets_are_of_the_size_that_they_are_called(name: str) -> None:
    options = registry.networks[name].load_options()().model_dump()
    with torch.device("meta"):
        network = build({"name": name, **options}, {"name": "attention"})
    number, unit = float(name[4:-1]), {"m": 1e6, "b": 1e9}[name[-1]]
    assert abs(count_parameters(network)["network"] / (number * unit) - 1) < 0.1


@contextmanager
def refused(message: str) -> Iterator[None]:
    """The refusal by name, or that of the annotation before it where annotations are checked."""
    with pytest.raises((ValueError, TypeCheckError)) as refusal:
        yield
    assert isinstance(refusal.value, TypeCheckError) or re.search(message, str(refusal.value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_channels": 20}, "base_channels must be a multiple of 8, got 20"),
        ({"depth": 0}, "depth and channels must be positive"),
        ({"patch": (1, 2)}, "patch must be three positive sizes"),
        ({"depth": 3}, "do not fill a depth of 3"),
    ],
)
def test_refuses_sizes_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with refused(message):
        DiT(mixer=registry.mixers["identity"].load(), **options)


def test_refuses_what_belongs_to_the_other_network() -> None:
    mixer = {"name": "identity"}
    with pytest.raises(ValueError, match="no levels to place mixers at: give 'blocks'"):
        build(SMALL, {"stem": mixer, "levels": [mixer], "middle": mixer})
    with pytest.raises(ValueError, match="no blocks in a row: give 'pattern'"):
        build({"name": "unet3d"}, blocks((mixer, "h")))
    with pytest.raises(ValueError, match="multiples of the patch 1 x 2 x 2, got 2 x 4 x 5"):
        make(mixer)(noise(1, 2, 3, 4, 5), torch.tensor([1]))
