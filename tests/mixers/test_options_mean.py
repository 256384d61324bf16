"""What every option of every mixer means: each at values that are not its default, against the mixer written plainly in NumPy.

Sizes are odd on purpose: channels that no head divides, frames that no chunk divides. The weights are moved from where they
start, so that what starts at one or at zero (norms, D) has its part in the result. A new option, or a new value of one, fails
``tests/kinds/test_options_at_default_only.py`` until it has a case here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.mixers.plain_mixers import plain
from vdmbench import registry
from vdmbench.mixers.making import mixer_maker

CHANNELS, FRAMES = 20, 11
MERGES = ("sum", "concat", "product", "quasi-separable")
BLOCKS = ("mlp", "glu", "gss", "mamba")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("identity", {}),
    ("mlp", {"expand": 1.5}),
    ("attention", {"expand": 1.7, "head_dim": 7, "rotary": False}),
    ("attention", {"heads": 3, "head_dim": 10, "causal": True}),
    ("attention", {"head_dim": 40, "relative_bias": True, "buckets": 12, "max_distance": 5}),
    ("attention", {"heads": 2, "head_dim": 6, "relative_bias": True, "buckets": 8, "max_distance": 7, "causal": True}),
    ("sliding-attention", {"window": 3, "expand": 0.5, "head_dim": 9}),
    ("sliding-attention", {"window": 2, "causal": True, "heads": 3, "head_dim": 6, "rotary": False}),
    ("linear-attention", {"expand": 1.7, "head_dim": 7, "rotary": "none"}),
    ("linear-attention", {"heads": 3, "head_dim": 10, "rotary": "before-map", "scale_output": True}),
    ("linear-attention", {"feature_map": "relu", "head_dim": 40}),
    ("linear-attention", {"feature_map": "relu", "rotary": "before-map"}),
    ("linear-attention", {"feature_map": "relu", "causal": True, "scale_output": True, "heads": 2, "head_dim": 6}),
    *[
        (core, {"direction": "both", "merge": merge, "block": block, "state": 6})
        for core in ("s4d", "mamba")
        for block in BLOCKS
        for merge in MERGES
    ],
    *[
        (core, {"block": block, "shared": True, "direction": "both", "merge": merge})
        for core in ("s4d", "mamba")
        for block, merge in (("mamba", "product"), ("mlp", "concat"))
    ],
    *[
        (core, options)
        for core in ("s4d", "mamba")
        for options in (
            {"direction": "backward", "expand": 1.3, "conv": 3},
            {"gate": False, "conv": 1, "state": 2},
            {"direction": "both", "conv": 5, "conv_alignment": "centred", "merge": "concat"},
            {"block": "mlp", "hidden": 27},
            {"block": "gss", "hidden": 13, "direction": "both", "merge": "product"},
            {"block": "gss", "expand": 3.0, "direction": "backward"},
        )
    ],
    *[("mamba2", {"direction": "both", "merge": merge, "groups": 2, "head_dim": 9, "state": 5}) for merge in MERGES],
    ("mamba2", {"groups": 3, "head_dim": 11, "state": 3, "conv": 2, "expand": 1.3}),
    ("mamba2", {"direction": "backward", "groups": 2, "head_dim": 8, "gate": False, "conv": 1}),
    ("mamba2", {"direction": "both", "shared": True, "conv": 3, "conv_alignment": "centred", "head_dim": 16, "groups": 4}),
    ("hydra", {"groups": 2, "head_dim": 9, "state": 5, "conv": 3, "expand": 1.3}),
    ("hydra", {"groups": 3, "head_dim": 8, "state": 2, "conv": 4, "conv_alignment": "causal"}),
    ("hydra", {"gate": False, "conv": 1, "head_dim": 40}),
    *[("gated-delta-net", {"direction": "both", "merge": merge, "head_dim": 9}) for merge in MERGES],
    ("gated-delta-net", {"direction": "backward", "expand": 1.7, "head_dim": 7, "conv": 2, "gate": False}),
    ("gated-delta-net", {"direction": "both", "shared": True, "conv": 3, "conv_alignment": "centred", "merge": "concat"}),
    ("gated-delta-net", {"conv": 1, "head_dim": 40}),
    ("lstm", {"direction": "backward", "expand": 0.7}),
    ("lstm", {"direction": "both", "expand": 1.7}),
    ("pair", {"first": {"name": "lstm", "expand": 0.5}, "second": {"name": "mlp", "expand": 1.5}, "arrangement": "serial"}),
    ("pair", {"first": "gated-delta-net", "second": {"name": "attention", "rotary": False}, "expand": 1.6}),
]


def label(each: str | dict[str, Any]) -> str:
    return each if isinstance(each, str) else "-".join(f"{key}={value}" for key, value in each.items())


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
def test_a_mixer_is_what_its_options_say(name: str, options: dict[str, Any]) -> None:
    validated = registry.mixers[name].load_options()(**options).model_dump()
    torch.manual_seed(0)
    mixer = mixer_maker({"name": name, **validated})(CHANNELS).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x = torch.randn(2, FRAMES, CHANNELS, dtype=torch.float64)
    weights = {key: value.detach().numpy() for key, value in mixer.state_dict().items()}
    tolerance = 1e-6 if "rotary" in validated else 1e-9  # rotary frequencies are float32, as published
    with torch.no_grad():
        y = mixer(x).numpy()
    np.testing.assert_allclose(y, plain(name, validated, weights, x.numpy()), rtol=tolerance, atol=tolerance)
