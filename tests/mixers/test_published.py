"""The published layers, number by number: ``tests/data/oshima2024-layers.npz`` holds their parameters, inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vdmbench.mixers import Mixer
from vdmbench.mixers.attention import Attention
from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.mamba import Mamba
from vdmbench.mixers.relative_bias import RelativeBias
from vdmbench.mixers.s4d import S4D

LAYERS = np.load(Path(__file__).parents[1] / "data" / "oshima2024-layers.npz")
CHANNELS = 16
HEADS = {"heads": 2, "head_dim": 8}
MERGES = {"mlp": "concat", "glu": "sum", "gss": "product", "mamba": "sum"}

OURS = {  # published module path to ours; the longest prefix counts
    "to_qkv": "heads.to_qkv",
    "to_out": "heads.to_out",
    "core": "block.directions.along.core",
    "core_rev": "block.directions.against.core",
    "core.kernel": "block.directions.along.core",
    "core_rev.kernel": "block.directions.against.core",
    "core.output_linear.0": "block.directions.along.after.1",
    "core_rev.output_linear.0": "block.directions.against.after.1",
    "conv": "block.directions.along.conv",
    "conv_rev": "block.directions.against.conv",
    "fc_init": "block.to_x_and_gate",
    "fc_out": "block.out",
    "fc_shortcut": "block.to_gate",
    "fc3": "block.to_inner",
}
BLOCK_OURS = {
    "mlp": {"fc1": "block.fc1", "fc2": "block.fc2"},
    "gss": {
        "fc1": "block.directions.along.before.0",
        "fc2": "block.directions.along.after",
        "fc_rev1": "block.directions.against.before.0",
        "fc_rev2": "block.directions.against.after",
    },
}


def ours(published: str, block: str) -> str:
    names = OURS | BLOCK_OURS.get(block, {})
    path = published.replace("s4d", "core").replace("s6", "core")
    prefix = max((name for name in names if path.startswith(name + ".")), key=len)
    return names[prefix] + path.removeprefix(prefix)


def load(mixer: Mixer, layer: str, block: str = "") -> None:
    """Copy the published parameters into the mixer; every one of either side must find its place."""
    prefix = f"{layer}/param/"
    own = mixer.state_dict()
    state: dict[str, Tensor] = {}
    for key in LAYERS.files:
        if key.startswith(prefix) and "rotary_emb" not in key:
            name = ours(key.removeprefix(prefix), block)
            state[name] = torch.from_numpy(LAYERS[key]).reshape(own[name].shape)
    if f"{layer}/relative_bias_table" in LAYERS.files:
        state["relative_bias.table"] = torch.from_numpy(LAYERS[f"{layer}/relative_bias_table"])
    mixer.load_state_dict(state)


def check(mixer: Mixer, layer: str) -> None:
    with torch.no_grad():
        output = mixer(torch.from_numpy(LAYERS[f"{layer}/input"]))
    torch.testing.assert_close(output, torch.from_numpy(LAYERS[f"{layer}/output"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("core", ["s4d", "s6"])
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("block", ["mlp", "glu", "gss", "mamba"])
def test_state_space_layers_in_their_blocks(core: str, direction: str, block: str) -> None:
    layer = f"{'bi-' if direction == 'both' else ''}{core}/{block}"
    widths = {"mlp": 24, "gss": 48 if core == "s4d" else 24}
    expand = widths[block] / CHANNELS if block in widths else 2.0
    merge = MERGES[block] if direction == "both" else "sum"
    cls = {"s4d": S4D, "s6": Mamba}[core]
    mixer = cls(CHANNELS, direction=direction, merge=merge, block=block, expand=expand, state=4)  # type: ignore[arg-type]
    load(mixer, layer, block)
    check(mixer, layer)


@pytest.mark.parametrize("backend", ["math", "sdpa"])
def test_attention_with_relative_bias(backend: str) -> None:
    mixer = Attention(CHANNELS, **HEADS, relative_bias=True, max_distance=32, backend=backend)  # type: ignore[arg-type]
    load(mixer, "attn")
    check(mixer, "attn")


def test_linear_attention() -> None:
    mixer = LinearAttention(CHANNELS, **HEADS, rotary="before-map", scale_output=True)
    load(mixer, "l-attn")
    check(mixer, "l-attn")


@pytest.mark.parametrize(("frames", "key"), [(12, "attn/relative_bias"), (100, "relative_bias/frames_100")])
def test_relative_bias_buckets(frames: int, key: str) -> None:
    bias = RelativeBias(2, max_distance=32)
    with torch.no_grad():
        bias.table.copy_(torch.from_numpy(LAYERS["attn/relative_bias_table"]))
    assert torch.equal(bias(frames), torch.from_numpy(LAYERS[key]))


@pytest.mark.parametrize("channels", [32, 256])
def test_closed_forms_of_parameter_counts(channels: int) -> None:
    """Per layer of C channels, N = 16, mamba block (Oshima et al. 2024, code)."""
    c = channels

    def count(mixer: Mixer) -> int:
        return sum(p.numel() for p in mixer.parameters())

    assert count(Attention(c, heads=4, head_dim=64)) == count(LinearAttention(c, heads=4, head_dim=64)) == 4 * c * 4 * 64
    assert count(S4D(c)) == 6 * c**2 + 83 * c
    assert count(S4D(c, direction="both")) == 6 * c**2 + 161 * c
    assert count(Mamba(c)) == 6.5 * c**2 + 115 * c
    assert count(Mamba(c, direction="both")) == 7 * c**2 + 225 * c
