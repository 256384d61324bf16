"""The published network: its layers number by number, its size to the parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from vdmbench import registry
from vdmbench.mixers.heads import Heads
from vdmbench.networks import build
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.norms import ChannelNorm
from vdmbench.networks.resblock import ResBlock
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.networks.time_embedding import sinusoidal
from vdmbench.suite.options.published import published_mixers, with_published_heads

ROOT = Path(__file__).parents[2]
LAYERS = np.load(ROOT / "tests" / "data" / "oshima2024-layers.npz")
WIDTHS = (32, 64, 112, 128)
COUNTS = {  # whole network, by base channels
    "attn": (14_083_475, 56_279_827, 172_286_035, 225_011_219),
    "l-attn": (14_083_475, 56_279_827, 172_286_035, 225_011_219),
    "s4d": (14_176_643, 56_482_563, 172_683_843, 225_482_243),
    "bi-s4d": (14_256_515, 56_642_307, 172_963_395, 225_801_731),
    "s6": (14_297_475, 56_900_355, 173_877_315, 227_022_339),
    "bi-s6": (14_498_179, 57_477_891, 175_350_339, 228_881_923),
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
    x, embedding = images(array("resblock/input")), F.silu(array("resblock/time_embedding"))
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


def published(name: str, base: int, **of_mixers: Any) -> Denoiser:
    with torch.device("meta"):
        mixer = published_mixers(base, **of_mixers)[name]
        return build({"name": "unet3d", "preset": "oshima2024", "base_channels": base}, mixer)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "base", "parameters"), [(n, w, c) for n in COUNTS for w, c in zip(WIDTHS, COUNTS[n], strict=True)]
)
def test_parameter_counts_of_the_published_networks(name: str, base: int, parameters: int) -> None:
    assert count(published(name, base)) == parameters


@pytest.mark.parametrize(("block", "parameters"), [("mlp", 14_683_523), ("gss", 15_405_443)])
def test_parameter_counts_of_the_published_blocks(block: str, parameters: int) -> None:
    """Two-directional S4D in versions 1 and 10, with a hidden width of 512 on every level and a gate of 3 C."""
    assert count(published("bi-s4d", 32, block=block)) == parameters


@pytest.mark.parametrize("base", [32, 64])
@pytest.mark.parametrize("block", ["mlp", "glu", "gss"])
@pytest.mark.parametrize("name", ["s4d", "bi-s4d", "s6", "bi-s6"])
def test_other_blocks_have_the_published_layers_sizes(name: str, block: str, base: int) -> None:
    """Temporal layers alone, by the layers that the published code makes for C channels."""
    ways = 2 if name.startswith("bi") else 1

    def linear(inputs: int, outputs: int) -> int:
        return (inputs + 1) * outputs

    def layer(c: int) -> int:
        rank = -(-c // 16)
        core = 34 * c if "s4d" in name else c * (rank + 32) + linear(rank, c) + 17 * c  # 8 modes; x_proj, dt_proj, A, D
        if block == "mlp":
            return ways * core + linear(ways * c, 512) + linear(512, c)
        if block == "glu":
            return ways * (core + linear(c, 2 * c))
        gate = 3 * c if "s4d" in name else 512
        return ways * (core + 2 * linear(c, c)) + 2 * linear(c, gate) + linear(gate, c)

    mixers = published(name, base, block=block).temporal_layers().values()
    assert sum(map(count, mixers)) == sum(layer(mixer.channels) for mixer in mixers)


@pytest.mark.parametrize("base", [16, 64])
@pytest.mark.parametrize(
    "mixer",
    [
        {"name": "linear-attention", "head_dim": 64, "rotary": "before-map", "scale_output": True},
        {"name": "sliding-attention", "head_dim": 16, "window": 3},
        {"name": "pair", "first": {"name": "attention", "head_dim": 64}, "second": "mamba"},
    ],
    ids=lambda mixer: mixer["name"],
)
def test_attention_that_leaves_its_heads_out_has_the_presets(mixer: dict[str, Any], base: int) -> None:
    """base / 8 heads on every level, as published; in the fair preset the heads follow the level."""

    def heads(preset: str) -> set[int]:
        with torch.device("meta"):
            network = build({"name": "unet3d", "preset": preset, "base_channels": base}, mixer)
        return {
            part.count for layer in network.temporal_layers().values() for part in layer.modules() if isinstance(part, Heads)
        }

    assert heads("oshima2024") == {base // 8}
    assert len(heads("fair")) > 1


def test_each_place_of_a_pattern_has_the_presets_heads() -> None:
    attention = {"name": "linear-attention", "head_dim": 64}
    pattern = {"stem": attention, "levels": [attention, {"name": "mamba"}], "middle": attention}
    with torch.device("meta"):
        network = build({"name": "unet3d", "preset": "oshima2024", "base_channels": 48, "multipliers": (1, 2)}, pattern)
    assert {part.count for part in network.modules() if isinstance(part, Heads)} == {6}


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


@pytest.mark.parametrize("name", ["attn", "l-attn"])
def test_preset_refuses_other_heads(name: str) -> None:
    mixer = {**published_mixers(32)[name], "heads": 8}
    with torch.device("meta"), pytest.raises(ValueError, match="set the mixer's heads to 4, got"):
        build({"name": "unet3d", "preset": "oshima2024"}, mixer)


@pytest.mark.parametrize("base", [32, 64])
def test_published_names_are_valid_options_and_those_of_the_suite(base: int) -> None:
    suite = yaml.safe_load((ROOT / "suites" / "oshima2024_minerl.yaml").read_text())
    network = {**suite["network"], "base_channels": base}
    for name, mixer in published_mixers(base).items():
        options = {key: value for key, value in mixer.items() if key != "name"}
        declared = suite["variants"][name]["mixer"]
        declared = with_published_heads({"name": declared} if isinstance(declared, str) else declared, network)
        model = registry.mixers[mixer["name"]].load_options()
        assert declared["name"] == mixer["name"]
        assert model(**options) == model(**{key: value for key, value in declared.items() if key != "name"})
