"""The factorised UNet with every mixer of the registry."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from vdmbench import registry
from vdmbench.networks import build, count_parameters
from vdmbench.networks.unet3d import UNet3D

SMALL: dict[str, Any] = {"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}
MIXERS = [{"name": entry.name} for entry in registry.mixers]
CAUSAL = [
    {"name": "identity"},
    {"name": "attention", "causal": True, "relative_bias": True},
    {"name": "s4d"},
    {"name": "mamba"},
    {"name": "mamba", "block": "gss"},
]
TWO_WAY = [
    {"name": "attention"},
    {"name": "linear-attention"},
    {"name": "s4d", "direction": "both"},
    {"name": "mamba", "direction": "both", "merge": "concat"},
]


def make(mixer: dict[str, Any], **network: Any) -> Any:
    torch.manual_seed(0)
    return build({**SMALL, **network}, mixer)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def label(mixer: dict[str, Any]) -> str:
    return "-".join(str(value) for value in mixer.values())


@pytest.mark.parametrize("preset", ["fair", "oshima2024"])
@pytest.mark.parametrize("mixer", MIXERS, ids=label)
def test_any_length_size_and_time(mixer: dict[str, Any], preset: str) -> None:
    if preset == "oshima2024" and "heads" in registry.mixers[mixer["name"]].load_options().model_fields:
        mixer = {**mixer, "heads": 1, "head_dim": 16}
    network = make(mixer, preset=preset)
    for frames, height, width, t in ((1, 16, 16, torch.tensor([0, 255])), (5, 4, 8, torch.tensor([0.5, 17.0]))):
        x = noise(2, frames, 3, height, width)
        with torch.no_grad():
            y = network(x, t)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.is_contiguous()
        assert y.isfinite().all()


@pytest.mark.parametrize("preset", ["fair", "oshima2024"])
def test_clips_of_a_batch_do_not_meet(preset: str) -> None:
    network = make({"name": "mamba", "direction": "both"}, preset=preset)
    x, t, order = noise(3, 4, 3, 8, 8), torch.tensor([3, 90, 200]), torch.tensor([2, 0, 1])
    with torch.no_grad():
        torch.testing.assert_close(network(x[order], t[order]), network(x, t)[order], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(network(x[:1], t[:1]), network(x, t)[:1], atol=1e-5, rtol=1e-4)


def reach(network: nn.Module) -> tuple[Tensor, Tensor]:
    """How far frames 3 and 4 of a clip of 7 change frame 2's output: by gradient, and by perturbation."""
    x, t = noise(1, 7, 3, 8, 8, dtype=torch.float64).requires_grad_(), torch.tensor([40])
    (gradient,) = torch.autograd.grad(network(x, t)[:, 2].square().sum(), x)
    changed = x.detach().clone()
    changed[:, 3:5] += 1
    with torch.no_grad():
        difference = network(changed, t)[:, 2] - network(x, t)[:, 2]
    return gradient[:, 3:5].abs().max(), difference.abs().max()


@pytest.mark.parametrize("mixer", CAUSAL, ids=label)
def test_nothing_leaks_from_the_future_through_the_fair_network(mixer: dict[str, Any]) -> None:
    network = make(mixer).double()
    assert all(layer.causal for layer in network.temporal_layers().values())
    assert max(reach(network)) < 1e-10


@pytest.mark.parametrize("mixer", TWO_WAY, ids=label)
def test_two_way_mixers_see_the_future(mixer: dict[str, Any]) -> None:
    network = make(mixer).double()
    assert not any(layer.causal for layer in network.temporal_layers().values())
    assert min(reach(network)) > 1e-6


def test_the_published_norms_leak_through_every_mixer() -> None:
    """Why there is a fair preset: with no temporal mixing at all, the published network sees all frames."""
    assert min(reach(make({"name": "identity"}, preset="oshima2024").double())) > 1e-6


def test_depends_on_time() -> None:
    network = make({"name": "attention"})
    x = noise(1, 2, 3, 16, 16)
    with torch.no_grad():
        early, late = network(x, torch.tensor([1])), network(x, torch.tensor([200]))
        assert (early - late).abs().max() > 1e-4
        torch.testing.assert_close(network(x, torch.tensor([200.0])), late)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    network = build(
        {"name": "unet3d", "base_channels": 8, "multipliers": (1, 1), "channels": 1},
        {"name": "mamba", "direction": "both", "state": 2},
    ).double()
    x, t = noise(1, 2, 1, 2, 2, dtype=torch.float64).requires_grad_(), torch.tensor([5])
    assert torch.autograd.gradcheck(lambda clip: network(clip, t), (x,), fast_mode=True)


@pytest.mark.parametrize("multipliers", [(1,), (2,), (1, 2, 3), (1, 1, 2, 4, 4)])
def test_any_number_of_levels(multipliers: tuple[int, ...]) -> None:
    network = make({"name": "attention"}, multipliers=multipliers, channels=2)
    x = noise(1, 2, 2, 16, 16)
    with torch.no_grad():
        assert network(x, torch.tensor([7])).shape == x.shape
    assert len(network.temporal_layers()) == 2 * len(multipliers) + 2
    down = [layer.channels for path, layer in network.temporal_layers().items() if path.startswith("down")]
    assert down == [8 * multiplier for multiplier in multipliers]


def test_inner_width_of_the_fair_attention_follows_the_channels() -> None:
    with torch.device("meta"):
        fair = build({"name": "unet3d"}, {"name": "attention"})
    assert all(layer.inner_width == layer.channels for layer in fair.temporal_layers().values())


@pytest.mark.parametrize("mixer", MIXERS, ids=label)
def test_builds_without_memory(mixer: dict[str, Any]) -> None:
    real = make(mixer)
    with torch.device("meta"):
        planned = make(mixer)
    assert all(p.is_meta for p in planned.parameters())
    assert {key: p.shape for key, p in planned.named_parameters()} == {key: p.shape for key, p in real.named_parameters()}
    assert count_parameters(planned) == count_parameters(real)


def test_temporal_parameters_are_those_of_the_mixers() -> None:
    network = make({"name": "mamba"})
    mixers = sum(p.numel() for layer in network.temporal_layers().values() for p in layer.parameters())
    without = count_parameters(make({"name": "identity"}))
    norms = sum(layer.norm.gain.numel() for layer in network.mixer_layers().values())
    assert count_parameters(network) == {"network": without["network"] + norms + mixers, "temporal": mixers}
    assert without["temporal"] == 0


def test_with_the_mixer_identity_a_temporal_layer_is_nothing() -> None:
    network = make({"name": "identity"})
    for layer in network.mixer_layers().values():
        assert list(layer.parameters()) == []
        x = noise(6, layer.mixer.channels, 4, 4)
        assert layer(x, 3) is x


@pytest.mark.parametrize("preset", ["fair", "oshima2024"])
def test_a_copy_stands_on_its_own(preset: str) -> None:
    """As the moving average of a training run is one: shared position encodings are those of the copy."""
    network = make({"name": "attention", "heads": 1, "head_dim": 16, "relative_bias": True}, preset=preset)
    x, t = noise(1, 3, 3, 16, 16), torch.tensor([9])
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(x, t)
        for p in network.parameters():
            p.zero_()
        torch.testing.assert_close(twin(x, t), before)


@pytest.mark.parametrize("mixer", MIXERS, ids=label)
def test_trains_in_bfloat16_autocast(mixer: dict[str, Any]) -> None:
    network = make(mixer)
    x, t = noise(1, 4, 3, 4, 4), torch.tensor([9])
    with torch.no_grad():
        exact = network(x, t)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x, t)
    y.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert (y.float() - exact).norm() < 0.1 * exact.norm()


@contextmanager
def refused(message: str) -> Iterator[None]:
    """The refusal by name, or that of the annotation before it where annotations are checked."""
    with pytest.raises((ValueError, TypeCheckError)) as refusal:
        yield
    assert isinstance(refusal.value, TypeCheckError) or re.search(message, str(refusal.value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_channels": 21}, "base_channels must be a multiple of 2 .*got 21"),
        ({"base_channels": 20, "preset": "oshima2024"}, "base_channels must be a multiple of 8 .*got 20"),
        ({"multipliers": ()}, "multipliers and channels must be positive"),
        ({"multipliers": (1, 0)}, "multipliers and channels must be positive"),
        ({"preset": "exact"}, "preset must be 'fair' or 'oshima2024', got 'exact'"),
    ],
)
def test_refuses_sizes_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with refused(message):
        UNet3D(mixer=registry.mixers["identity"].load(), **options)
    with pytest.raises(ValueError):  # noqa: PT011  pydantic's own wording
        registry.networks["unet3d"].load_options()(**options)


@pytest.mark.parametrize(
    ("x", "t", "message"),
    [
        ((2, 3, 16, 16), (2,), r"x must be \(batch, frames, 3, height, width\)"),
        ((1, 2, 1, 16, 16), (1,), r"x must be \(batch, frames, 3, height, width\)"),
        ((2, 2, 3, 16, 16), (1,), "one time for each of 2 clips"),
        ((1, 2, 3, 16, 15), (1,), "multiples of 2.*got 16 x 15"),
    ],
)
def test_refuses_clips_that_do_not_fit(x: tuple[int, ...], t: tuple[int, ...], message: str) -> None:
    network = make({"name": "identity"})
    with refused(message):
        network(torch.zeros(x), torch.zeros(t))
