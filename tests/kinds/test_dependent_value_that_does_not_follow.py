"""Kind: **a value that depends on a width, and does not follow it**.

Found: the suite of the published setting wrote four heads, which are base_channels / 8 at its own width alone, and advised to
sweep that width; one hidden width on every level, as two of the published blocks have it, could not be written at all; the
solver moved `expand` of mixers whose width another option fixes. Preset `oshima2024` gives the heads now and refuses others.
Every option that is a whole number, and every constant of a network or mixer that sizes something, is listed here with what it
follows. Left: `dit-5m` to `dit-5b` are names of defaults, whose width can be set to another, as their page says; heads of a dit
within frames are rounded to multiples of 8 features, so that their width is the network's exactly where 64 divides that.
"""

from __future__ import annotations

import ast
from typing import Any, get_args

import pytest
import torch
from torch import nn

from tests.kinds.syntax import PACKAGE, modules
from vdmbench import registry
from vdmbench.mixers.heads import Heads
from vdmbench.networks import build
from vdmbench.networks.cross_attention import CrossAttention
from vdmbench.networks.norms import GroupNormSiLU
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.networks.time_embedding import TimeEmbedding
from vdmbench.suite import load_suite
from vdmbench.suite.options.published import published_heads
from vdmbench.suite.shipped import shipped_suites

FRAMES = "counts frames, which no width moves"
NUMBERS = {
    "base_channels": "the width itself",
    "multipliers": "widths of levels over base_channels",
    "channels": "of images or latents; an autoencoder sets it",
    "depth": "blocks in a row; a width of its own right",
    "patch": "frames, rows and columns of a token",
    "heads": "null follows the level's channels, or base_channels with preset oshima2024, which refuses other numbers; in the "
    "fair preset a number is one width on every level, on purpose",
    "hidden": "null follows the level's channels; a number is the published form, one width on every level",
    "head_dim": "features of a head; their number follows the channels; null is 32 (64 of inner width in scans with a decay a "
    "head), and fewer in narrow layers",
    "groups": "of heads, whose number is a multiple of it at any width",
    "state": "numbers a channel, published as one for every width",
    "buckets": FRAMES,
    "max_distance": FRAMES,
    "window": FRAMES,
    "conv": FRAMES,
}
"""Options that are whole numbers, with what they follow when base_channels is swept."""

CONSTANTS = {
    "mixers/conformance.py:BATCH": "a check's own sizes",
    "mixers/conformance.py:FRAMES": "a check's own sizes",
    "networks/initial_gains.py:TOKENS": "tokens that a layer is measured on",
    "mixers/heads.py:HEAD_DIM": "features of a head where nothing is said; their number follows the channels",
    "mixers/heads.py:NARROW": "the width up to which heads are counted as the published first level's",
    "mixers/heads.py:CHANNELS_PER_HEAD": "heads of narrow layers are the channels over it",
    "mixers/heads.py:LOW_RANK": "a ratio of widths",
    "mixers/mamba.py:CHANNELS_PER_DT_RANK": "the rank is the inner width over it",
    "mixers/mamba2.py:EXPAND": "heads are EXPAND times the channels over head_dim",
    "mixers/mixer.py:GRANULARITY": "what inner widths are rounded to",
    "mixers/rotary.py:MAX_WIDTH": "features that turn, at most, of heads of any width",
    "mixers/ssm_blocks.py:CONV": "a default, of frames",
    "mixers/ssm_blocks.py:EXPAND": "a default, over the channels",
    "networks/conditional.py:NUMBERED_ACTIONS": "a byte's values",
    "networks/dit.py:FREQUENCIES": "256 at every width, as published (Peebles and Xie 2023, code)",
    "networks/dit.py:HEAD_DIM": "the number of heads follows base_channels",
    "networks/norms.py:MOST_GROUPS": "the most groups of a norm; fewer where they do not divide the channels",
    "networks/shared_positions.py:PUBLISHED_MAX_DISTANCE": FRAMES,
    "networks/spatial_attention.py:HEAD_DIM": "32 at every width, as published; base_channels / 8 heads",
    "networks/text/byte_encoder.py:HEAD_DIM": "the number of heads follows the encoder's width, a multiple of it",
    "networks/time_embedding.py:MAX_PERIOD": "of the diffusion time",
}
"""Numbers at the top of a module of mixers or networks, with what they follow."""


def _whole_number(annotation: Any) -> bool:
    return annotation is int or any(_whole_number(part) for part in get_args(annotation))


def test_every_option_that_is_a_whole_number_says_what_it_follows() -> None:
    models = [entry.load_options() for table in (registry.mixers, registry.networks) for entry in table]
    found = {name for model in models for name, field in model.model_fields.items() if _whole_number(field.annotation)}
    assert found == NUMBERS.keys()


def test_every_constant_that_sizes_something_says_what_it_follows() -> None:
    found = set()
    for path in modules("mixers", "networks"):
        for node in ast.parse(path.read_text()).body:
            value = node.value.value if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) else None
            if isinstance(node, ast.Assign) and isinstance(value, int | float) and value >= 1:
                found.add(f"{path.relative_to(PACKAGE).as_posix()}:{ast.unparse(node.targets[0])}")
    assert found == CONSTANTS.keys()


def _built(mixer: dict[str, Any], **network: Any) -> nn.Module:
    with torch.device("meta"):
        return build(network, mixer)


def _parts(network: nn.Module, kind: type) -> list[Any]:
    parts = [part for part in network.modules() if isinstance(part, kind)]
    assert parts
    return parts


@pytest.mark.parametrize("preset", ["fair", "oshima2024"])
@pytest.mark.parametrize("base", [8, 24, 40, 112])
def test_what_follows_the_width_of_the_unet(base: int, preset: str) -> None:
    """As published: base / 8 heads over places, 8 groups of channels, 32 base features of time; over frames by preset."""
    attention = {"name": "linear-attention", "head_dim": 16, "rotary": "none"}
    network = _built(attention, name="unet3d", base_channels=base, preset=preset)
    assert {part.heads for part in _parts(network, SpatialAttention)} == {base // 8}
    assert {part.to_qkv.out_features for part in _parts(network, SpatialAttention)} == {3 * base // 8 * 32}
    assert {part.groups for part in _parts(network, GroupNormSiLU)} == {8}
    assert {part.width for part in _parts(network, TimeEmbedding)} == {32 * base}
    for part in _parts(network, Heads):
        channels = part.to_qkv.in_features
        assert (part.count, part.dim) == (base // 8, 16) or preset == "fair"
        assert abs(part.inner - channels) <= 4 * part.count + 8 or preset != "fair"


@pytest.mark.parametrize("base", [24, 64, 200, 192, 384])
def test_what_follows_the_width_of_a_dit(base: int) -> None:
    """Heads within frames and to the condition: of 64 features where 64 divides the width, else the nearest that fits; up to 64
    channels one for each 8 of them."""
    network = _built({"name": "mamba"}, name="dit", base_channels=base, depth=2, cross_attention=True, mlp_ratio=3.0)
    (within,) = _parts(network, Heads)
    count = base // 8 if base <= 64 else max(1, int(base / 64 + 0.5))
    assert within.count == count == {part.heads for part in _parts(network, CrossAttention)}.pop()
    assert abs(within.inner - base) <= 4 * count
    assert within.inner == base or base % 64
    assert network.get_parameter("blocks.0.mlp.fc1.weight").shape == (3 * base, base)


@pytest.mark.parametrize("suite", sorted(shipped_suites()))
def test_no_shipped_suite_writes_a_number_that_its_preset_gives(suite: str) -> None:
    """A number that is right at the suite's own width is wrong at the next one of a sweep."""
    declared, _ = load_suite(shipped_suites()[suite])
    if published_heads(declared.network.model_dump()) is not None:
        for variant in declared.variants.values():
            assert variant.temporal.get("heads") is None
