"""Parameters start as published: the distribution of each, mixer by mixer, against the authors' code.

A law's source is the constructor of the authors' own layer: Mamba and Mamba-2 (state-spaces/mamba), Hydra (goombalab/hydra),
Gated DeltaNet (fla-org/flash-linear-attention), S4D (state-spaces/s4), attention and the blocks around a core (Oshima et al.
2024). What a language model around a layer draws anew (N(0, 0.02), output maps divided by the square root of its depth, biases
of zero) belongs to that model, and no network here does it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vdmbench import registry
from vdmbench.mixers import Mixer
from vdmbench.mixers.attention import Attention
from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.making import mixer_maker

CHANNELS = 32
DRAWS = 16
"""Mixers that are made, each from a seed of its own; their parameters are taken together."""

Law = Callable[[np.ndarray, nn.Module], np.ndarray]
"""A parameter and the module that owns it, to values that are uniform in [0, 1] where it starts as published."""


def uniform(low: float, high: float, of: Callable[[np.ndarray], np.ndarray] = lambda p: p) -> Law:
    return lambda p, owner: (of(p) - low) / (high - low)


def normal(deviation: float) -> Law:
    return lambda p, owner: np.array([0.5 + 0.5 * math.erf(value / deviation / 2**0.5) for value in p.ravel()])


def fan_in(p: np.ndarray, owner: nn.Module) -> np.ndarray:
    """Uniform within 1 / sqrt(inputs of an output), as nn.Linear and nn.Conv1d start, weight and bias alike."""
    weight = owner.weight
    assert isinstance(weight, nn.Parameter)
    return (p * weight[0].numel() ** 0.5 + 1) / 2


def constant(value: float | Callable[[int], np.ndarray]) -> Law:
    """``value``, or a vector for each channel; as a law: one half, or far out where it is another."""

    def law(p: np.ndarray, owner: nn.Module) -> np.ndarray:
        wanted = value if isinstance(value, float) else np.broadcast_to(value(p.shape[-1]), p.shape)
        return np.where(np.isclose(p, wanted, rtol=1e-6, atol=0), 0.5, np.inf)

    return law


def log_uniform(low: float, high: float, of: Callable[[np.ndarray], np.ndarray]) -> Law:
    return uniform(math.log(low), math.log(high), lambda p: np.log(of(p)))


ONES = constant(1.0)
STEPS = log_uniform(1e-3, 1e-1, lambda bias: np.logaddexp(0, bias))  # softplus of the bias
MAPS = r"(?:to_\w+|out|fc1|fc2|before\.0|after|after\.1|x_proj)\.(?:weight|bias)"
CONV = r"conv\.(?:weight|bias)"

STARTS: dict[str, dict[str, Law]] = {
    "identity": {},
    "mlp": {MAPS: fan_in},
    "attention": {MAPS: fan_in, r"table": normal(1.0)},
    "linear-attention": {MAPS: fan_in},
    "sliding-attention": {MAPS: fan_in},
    "s4d": {
        MAPS: fan_in,
        CONV: fan_in,
        r"log_dt": log_uniform(1e-3, 1e-1, np.exp),
        r"log_A_real": constant(math.log(0.5)),
        r"A_imag": constant(lambda modes: math.pi * np.arange(modes)),
        r"C": normal(0.5**0.5),  # complex with variance 1, half of it in each part
        r"D": normal(1.0),
    },
    "mamba": {
        MAPS: fan_in,
        CONV: fan_in,
        r"dt_proj\.weight": fan_in,  # 1 / sqrt(rank), and the rank is its inputs
        r"dt_proj\.bias": STEPS,
        r"A_log": constant(lambda state: np.log(np.arange(1, state + 1))),
        r"D": ONES,
    },
    "mamba2": {
        MAPS: fan_in,
        CONV: fan_in,
        r"A_log": uniform(1, 16, np.exp),
        r"dt_bias": STEPS,
        r"D": ONES,
        r"norm\.weight": ONES,
    },
    "hydra": {MAPS: fan_in, CONV: fan_in, r"A_log": constant(0.0), r"dt_bias": STEPS, r"D": ONES, r"norm\.weight": ONES},
    "gated-delta-net": {
        MAPS: fan_in,
        r"conv\.weight": fan_in,  # and no bias
        r"A_log": uniform(0, 16, np.exp),
        r"dt_bias": STEPS,
        r"D": ONES,
        r"norm\.weight": ONES,
    },
    "lstm": {r"out\.(?:weight|bias)": fan_in, r"lstm\.\w+": uniform(-(CHANNELS**-0.5), CHANNELS**-0.5)},
    "pair": {r"norm\.weight": ONES, r"norm\.bias": constant(0.0)},  # and what its two mixers draw
}
"""The end of a parameter's path to its law; every parameter has one."""

BLOCKS = [{"block": block, "direction": "both", "merge": "concat"} for block in ("mlp", "glu", "gss", "mamba")]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "attention": [{"relative_bias": True, "head_dim": 8}],
    "s4d": BLOCKS,
    "mamba": BLOCKS,
    "mamba2": [{"head_dim": 2, "groups": 2, "direction": "both"}],
    "hydra": [{"head_dim": 2, "groups": 2}],
    "gated-delta-net": [{"head_dim": 2, "direction": "both", "merge": "quasi-separable"}],
    "pair": [{"first": "identity", "second": "identity", "arrangement": "serial"}],
}
"""Beside the defaults, but for the pair's: enough heads to tell distributions apart, and every parameter that there is."""


def made(name: str, options: dict[str, Any]) -> list[Mixer]:
    mixers = []
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        mixers.append(mixer_maker({"name": name, **options})(CHANNELS))
    return mixers


def law_of(name: str, path: str) -> Law:
    laws = [law for pattern, law in STARTS[name].items() if re.search(rf"(?:^|\.){pattern}$", path)]
    assert len(laws) == 1, f"give {path} of {name} one law, from its authors' code"
    return laws[0]


def far_from_uniform(values: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance times the root of the number of values; above 2.2 once in 16,000 times by chance."""
    values = np.sort(values.ravel())
    number = len(values)
    above, below = np.arange(1, number + 1) / number - values, values - np.arange(number) / number
    return float(max(above.max(), below.max()) * number**0.5)


CASES = [(name, options) for name in STARTS for options in ([] if name == "pair" else [{}]) + OPTIONS.get(name, [])]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_every_parameter_starts_as_published(name: str, options: dict[str, Any]) -> None:
    mixers = made(name, options)
    for path, _ in mixers[0].named_parameters():
        law, values = law_of(name, path), []
        for mixer in mixers:
            owner = mixer.get_submodule(path.rpartition(".")[0])
            values.append(law(mixer.get_parameter(path).detach().double().numpy(), owner))
        found = np.concatenate([value.ravel() for value in values])
        assert 0 <= found.min() <= found.max() <= 1, path
        if not np.all(found == 0.5):
            assert far_from_uniform(found) < 2.2, path
            reach = 12 / found.size  # beyond an end of the law by chance once in 160,000 times
            assert max(found.min(), 1 - found.max()) < reach, path


def test_every_mixer_of_the_registry_has_its_laws() -> None:
    assert STARTS.keys() == {entry.name for entry in registry.mixers}


@pytest.mark.parametrize(("name", "least", "most"), [("hydra", 55, 88), ("mamba2", 6, 13), ("gated-delta-net", 6, 13)])
def test_half_life_of_a_head_at_the_start(name: str, least: float, most: float) -> None:
    """ln 2 / (A delta) with delta's middle 0.01: with A = 1 about 69 tokens, with A up to 16 about 10."""
    steps = [part for mixer in made(name, {"head_dim": 2}) for part in mixer.modules() if hasattr(part, "A_log")]
    lives = torch.cat([math.log(2) / (part.A_log.exp() * nn.functional.softplus(part.dt_bias)) for part in steps])
    assert least < lives.median() < most


def test_fair_linear_attention_starts_as_large_as_attention_and_the_published_one_does_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 64, 64)

    def size(mixer: torch.nn.Module) -> float:
        with torch.no_grad():
            return mixer(x).square().mean().sqrt().item()

    attention = size(Attention(64))
    assert 0.5 < size(LinearAttention(64)) / attention < 2
    assert 0.5 < size(LinearAttention(64, feature_map="relu")) / attention < 2
    published = LinearAttention(64, heads=4, head_dim=64, rotary="before-map", scale_output=True)
    assert size(published) / size(Attention(64, heads=4, head_dim=64)) < 0.2
