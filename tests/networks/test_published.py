"""The published network: its layers number by number, its size to the parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from vdmbench import registry
from vdmbench.networks import build
from vdmbench.networks.norms import ChannelNorm
from vdmbench.networks.resblock import ResBlock
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.networks.time_embedding import sinusoidal
from vdmbench.suite.options.published import published_mixers

ROOT = Path(__file__).parents[2]
LAYERS = np.load(ROOT / "tests" / "data" / "oshima2024-layers.npz")
COUNTS = {
    "attn": 14_083_475,
    "l-attn": 14_083_475,
    "s4d": 14_176_643,
    "bi-s4d": 14_256_515,
    "s6": 14_297_475,
    "bi-s6": 14_498_179,
}


def array(key: str) -> Tensor:
    return torch.from_numpy(LAYERS[key])


def load(module: nn.Module, layer: str, names: dict[str, str]) -> None:
    """Copy published parameters under our names; 3-D convolutions of one frame become 2-D."""
    own = module.state_dict()
    state = {ours: array(f"{layer}/param/{theirs}").reshape(own[ours].shape) for theirs, ours in names.items()}
    module.load_state_dict(own | state)


def images(video: Tensor) -> Tensor:
    """(batch, channels, frames, height, width), as published, to (batch frames, channels, height, width), as here."""
    return video.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def close(ours: Tensor, layer: str) -> None:
    torch.testing.assert_close(ours, images(array(f"{layer}/output")), atol=1e-5, rtol=0)


def test_residual_block_pools_its_norms_over_frames() -> None:
    block = ResBlock(16, 24, embedding=20, pool_frames=True)
    names = {"mlp.1": "film", "res_conv": "shortcut"}
    names |= {f"block{i}.{theirs}": f"{ours}{i}" for i in (1, 2) for theirs, ours in (("proj", "conv"), ("norm", "norm"))}
    load(block, "resblock", {f"{t}.{kind}": f"{o}.{kind}" for t, o in names.items() for kind in ("weight", "bias")})
    x, embedding = images(array("resblock/input")), array("resblock/time_embedding")
    close(block(x, 4, embedding), "resblock")
    own_statistics = ResBlock(16, 24, embedding=20, pool_frames=False)
    own_statistics.load_state_dict(block.state_dict())
    with torch.no_grad():
        assert (own_statistics(x, 4, embedding) - block(x, 4, embedding)).abs().max() > 0.1


def test_spatial_linear_attention() -> None:
    layer = SpatialAttention(16, heads=2, linear=True)
    load(layer, "spatial-linear-attention", {name: name for name in ("to_qkv.weight", "to_out.weight", "to_out.bias")})
    with torch.no_grad():
        mixed = layer.attend(images(array("spatial-linear-attention/input")).permute(0, 2, 3, 1))
    close(mixed.permute(0, 3, 1, 2), "spatial-linear-attention")


def test_channel_norm() -> None:
    norm = ChannelNorm(16)
    load(norm, "channel-layernorm", {"gamma": "gain"})
    with torch.no_grad():
        normed = norm(images(array("channel-layernorm/input")).permute(0, 2, 3, 1))
    close(normed.permute(0, 3, 1, 2), "channel-layernorm")


def test_sinusoidal_embedding() -> None:
    torch.testing.assert_close(sinusoidal(array("sinusoidal/input"), 16), array("sinusoidal/output"), atol=1e-5, rtol=0)


def published(name: str, base: int, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return build({"name": "unet3d", "preset": "oshima2024", "base_channels": base, **options}, published_mixers(base)[name])


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_of_the_published_networks(name: str) -> None:
    assert count(published(name, 32)) == COUNTS[name]


@pytest.mark.parametrize("base", [64, 112])
def test_other_sizes_differ_from_attention_by_the_closed_forms(base: int) -> None:
    """Per layer of C channels: s4d 6C²+83C, and so on, against 4 C heads head_dim and 16 rotary frequencies once."""
    widths = [base * m for m in (1, 1, 2, 4, 8, 8, 4, 2, 1, 1)]
    forms = {"s4d": (6, 83), "bi-s4d": (6, 161), "s6": (6.5, 115), "bi-s6": (7, 225)}
    attention = count(published("attn", base))
    rest = attention - sum(4 * c * (base // 8) * 64 for c in widths) - 16
    assert attention == count(published("l-attn", base))
    for name, (square, linear) in forms.items():
        assert count(published(name, base)) == rest + sum(square * c**2 + linear * c for c in widths)


def test_relative_bias_table_exists_once_and_is_trained_where_it_is_used() -> None:
    for name in COUNTS:
        network = published(name, 32)
        tables = {path: p for path, p in network.named_parameters() if "relative_bias" in path}
        assert [tuple(p.shape) for p in tables.values()] == [(32, 4)]
        assert all(p.requires_grad == (name == "attn") for p in tables.values())
        assert network.state_dict().keys() == dict(network.named_parameters()).keys()  # nothing stored twice


def test_all_layers_use_the_shared_table() -> None:
    torch.manual_seed(0)
    mixer = published_mixers(16)["attn"]
    network = build({"name": "unet3d", "preset": "oshima2024", "base_channels": 16, "multipliers": (1, 2)}, mixer)
    network(torch.randn(1, 4, 3, 16, 16), torch.tensor([3])).square().sum().backward()
    assert not any("relative" in key for layer in network.temporal_layers().values() for key, _ in layer.named_parameters())
    assert network.positions.relative_bias.table.grad.abs().sum() > 0
    for layer in network.temporal_layers().values():
        assert torch.equal(layer.relative_bias(5), network.positions.relative_bias(5))


def test_preset_refuses_heads_that_cannot_share_the_table() -> None:
    mixer = {**published_mixers(32)["attn"], "heads": 8}
    with torch.device("meta"), pytest.raises(ValueError, match="set the mixer's heads to 4, got"):
        build({"name": "unet3d", "preset": "oshima2024"}, mixer)


def test_published_names_are_valid_options_and_those_of_the_suite() -> None:
    suite = yaml.safe_load((ROOT / "suites" / "oshima2024_minerl.yaml").read_text())
    for name, mixer in published_mixers(32).items():
        options = {key: value for key, value in mixer.items() if key != "name"}
        declared = suite["variants"][name]["mixer"]
        declared = {"name": declared} if isinstance(declared, str) else declared
        model = registry.mixers[mixer["name"]].load_options()
        assert declared["name"] == mixer["name"]
        assert model(**options) == model(**{key: value for key, value in declared.items() if key != "name"})
