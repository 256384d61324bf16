"""Initial weights: by seed and path alone, and distributed as the constructor draws them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vdmbench import registry
from vdmbench.autoencoders import ConvAutoencoder
from vdmbench.networks import build
from vdmbench.networks.initial_draws import drawn_by_path

UNET = {"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}
DIT = {"name": "dit", "base_channels": 16, "depth": 4}
CONDITION = {"condition": {"classes": 3, "actions": 2, "text": {"encoder": "bytes", "width": 16, "depth": 1, "length": 8}}}
MIXERS = [entry.name for entry in registry.mixers]


def tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict([*network.named_parameters(), *network.named_buffers()])


def drawn(network: dict, mixer: str, seed: int = 0, **options) -> dict[str, torch.Tensor]:
    return tensors(drawn_by_path(lambda: build(network, {"name": mixer, **options}), seed))


@pytest.mark.parametrize("network", [UNET, DIT, {**UNET, **CONDITION}], ids=str)
def test_what_two_variants_have_in_common_begins_alike(network):
    base = drawn(network, "mamba")
    for mixer in MIXERS:
        other = drawn(network, mixer)
        common = [path for path in base if path in other and base[path].shape == other[path].shape]
        assert len(common) > 0.5 * min(len(base), len(other)) or mixer == "identity"
        apart = [path for path in common if not torch.equal(base[path], other[path])]
        # S4D draws its D and Mamba's is one: under one name, two distributions.
        assert [path for path in apart if not (mixer == "s4d" and path.endswith("core.D"))] == []


def test_a_mixer_with_another_option_begins_alike_in_what_it_shares():
    one, both = drawn(UNET, "mamba", direction="forward"), drawn(UNET, "mamba", direction="both")
    common = [path for path in one if path in both and one[path].shape == both[path].shape]
    assert any("mixer" in path and one[path].std() > 0 for path in common)
    assert all(torch.equal(one[path], both[path]) for path in common)


def test_the_seed_decides_and_the_global_generator_does_not():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = drawn(DIT, "hydra")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = drawn(DIT, "hydra"), drawn(DIT, "hydra", seed=1)
    assert all(torch.equal(first[path], same[path]) for path in first)
    random = [path for path in first if not torch.equal(first[path], other[path])]
    torch.manual_seed(0)
    plain = tensors(build(DIT, {"name": "hydra"}))
    torch.manual_seed(1)
    again = tensors(build(DIT, {"name": "hydra"}))
    assert random == [path for path in plain if not torch.equal(plain[path], again[path])]


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_distribution_is_the_constructors(mixer):
    """Mean, spread and extremes of every random parameter over seeds, against plain construction."""
    paths = None
    sets: list[dict[str, list[torch.Tensor]]] = []
    for make in (lambda seed: drawn(DIT, mixer, seed), lambda seed: _plain(seed, mixer)):
        pooled: dict[str, list[torch.Tensor]] = {}
        for seed in range(24):
            for path, value in make(seed).items():
                pooled.setdefault(path, []).append(value.detach().flatten().double())
        sets.append(pooled)
        paths = paths or list(pooled)
    for path in paths:
        one, other = (torch.cat(each[path]) for each in sets)
        if other.std() == 0 or torch.equal(sets[1][path][0], sets[1][path][1]):
            assert torch.equal(one, other), path
            continue
        allowed = 6 * other.std() / len(other) ** 0.5
        assert abs(one.mean() - other.mean()) < 2**0.5 * allowed, path
        assert one.std() == pytest.approx(float(other.std()), rel=10 / (2 * len(other)) ** 0.5 + 0.02), path
        ordered = [each.sort().values for each in (one, other)]
        ranks = torch.searchsorted(ordered[1], ordered[0]) / len(other)
        apart = (ranks - torch.arange(len(one)) / len(one)).abs().max()
        assert apart < 2.5 * (2 / len(one)) ** 0.5, f"{path}: Kolmogorov-Smirnov {apart}"


def _plain(seed: int, mixer: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1000 + seed)
    return tensors(build(DIT, {"name": mixer}))


class Layered(nn.Module):
    """Draws in every way that a constructor can."""

    def __init__(self, *, before: bool = False) -> None:
        super().__init__()
        if before:
            self.other = nn.Linear(3, 3)
            torch.randn(5)
        twice = torch.rand(64)
        self.product = nn.Parameter((twice * torch.rand(64)).sqrt())
        self.halves = nn.ParameterList(torch.randn(2, 64).unbind())
        self.redrawn = nn.Linear(8, 8)
        nn.init.normal_(self.redrawn.weight, std=3.0)
        nn.init.trunc_normal_(self.redrawn.bias)
        with torch.no_grad():
            self.redrawn.bias[:4] = torch.rand(4)
        self.register_buffer("features", torch.randn(4).exp())
        self.register_buffer("steps", torch.arange(4))


def test_a_users_constructor_runs_as_it_is_whatever_it_draws_by():
    one, other = (tensors(drawn_by_path(lambda before=before: Layered(before=before), 0)) for before in (False, True))
    assert all(torch.equal(one[path], other[path]) for path in one)
    assert not torch.equal(one["halves.0"], one["halves.1"])
    assert torch.equal(one["steps"], torch.arange(4))
    assert 0 < one["redrawn.bias"].abs().max() < 3  # a draw that the meta device does not make
    # Two draws that end in one parameter are two: their product is no square.
    factors = [tensors(drawn_by_path(Layered, seed))["product"] for seed in range(40)]
    assert float(torch.stack(factors).detach().mean()) == pytest.approx((2 / 3) ** 2, abs=0.02)


def test_an_autoencoder_is_drawn_so_too():
    narrow, wide = (
        tensors(drawn_by_path(lambda channels=channels: ConvAutoencoder(channels=channels, width=8), 0)) for channels in (3, 5)
    )
    common = [path for path in narrow if path in wide and narrow[path].shape == wide[path].shape]
    assert any(path.startswith("decoder") for path in common)
    assert [path for path in common if not torch.equal(narrow[path], wide[path]) and path != "decoder.0.bias"] == []
