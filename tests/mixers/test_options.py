"""A suite's options of a mixer: wrong ones are refused with the remedy, by the option model and by the constructor alike."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from vdmbench import registry

UNFIT = [
    ("attention", {"heads": 4, "expand": 2.0}, "keep expand 1|leave expand at 1"),
    ("attention", {"relative_bias": True, "max_distance": 8}, "max_distance must be over 8"),
    ("attention", {"heads": 2, "head_dim": 7}, "head_dim must be even"),
    ("attention", {"backend": "blocks"}, "is for scores with a relative_bias"),
    ("linear-attention", {"heads": 2, "head_dim": 7}, "head_dim must be even"),
    ("linear-attention", {"causal": True}, "sees all of them: causal takes feature_map 'relu'"),
    ("linear-attention", {"causal": True, "feature_map": "relu", "rotary": "before-map"}, "takes rotary after-map or none"),
    ("s4d", {"merge": "concat"}, "no effect in one direction"),
    ("mamba", {"shared": True}, "shared has no effect in one direction"),
    ("mamba2", {"merge": "product"}, "no effect in one direction"),
    ("hydra", {"conv": 4}, "it must be odd, got 4"),
    ("sliding-attention", {"heads": 2, "head_dim": 7}, "head_dim must be even"),
    ("mamba", {"block": "mlp", "conv": 3}, "no convolution: leave conv at 4 and causal, got 3"),
    ("mamba", {"block": "glu", "expand": 3.0}, "no inner width: leave expand at 2.0, got 3.0"),
    ("s4d", {"block": "mlp", "gate": False}, "leave gate at true"),
    ("s4d", {"hidden": 512}, "leave (it|hidden) out"),
    ("mamba", {"block": "gss", "hidden": 512, "expand": 3.0}, "leave expand at 2.0"),
    ("mamba", {"conv": 5, "conv_alignment": "centred"}, "set direction to '?both'?, or keep it causal"),
    ("gated-delta-net", {"direction": "both", "conv_alignment": "centred"}, "it must be odd, got 4"),
    ("gated-delta-net", {"direction": "backward", "merge": "quasi-separable"}, "no effect in one direction"),
]


@pytest.mark.parametrize(("name", "options", "message"), UNFIT)
def test_options_that_do_not_fit_together(name: str, options: dict[str, Any], message: str) -> None:
    entry = registry.mixers[name]
    with pytest.raises(ValidationError, match=message):
        entry.load_options()(**options)
    with pytest.raises(ValueError, match=message):
        entry.load()(32, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("identity", {"width": 3}),
        ("attention", {"head": 4}),
        ("attention", {"buckets": 64}),  # without relative_bias
        ("attention", {"backend": "flash"}),
        ("linear-attention", {"feature_map": "elu"}),
        ("s4d", {"state": 5}),
        ("mamba", {"direction": "sideways"}),
        ("mamba", {"expand": 0.0}),
        ("mamba", {"expand": float("nan")}),
        ("sliding-attention", {"window": 0}),
        ("sliding-attention", {"relative_bias": True}),
        ("mamba2", {"groups": 0}),
    ],
)
def test_options_that_do_not_exist_or_have_no_effect(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.mixers[name].load_options()(**options)


def test_resolved_options_validate_again_as_themselves() -> None:
    for entry in registry.mixers:
        options = entry.load_options()()
        assert entry.load_options()(**options.model_dump()) == options


def test_option_models_need_no_torch() -> None:
    program = (
        "import sys; from vdmbench import registry\n"
        "for table in (registry.mixers, registry.networks):\n"
        "    for entry in table: entry.load_options()\n"
        "import vdmbench.suite.options.published\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
