"""What every mixer of the registry keeps to; one that is added later is held to it as well."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from vdmbench import registry
from vdmbench.mixers import Mixer
from vdmbench.mixers.mixer import state_elements

WITH_DEFAULTS: list[tuple[str, dict[str, Any]]] = [(entry.name, {}) for entry in registry.mixers]
WITH_OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("attention", {"causal": True}),
    ("attention", {"causal": True, "relative_bias": True, "backend": "math"}),
    ("attention", {"relative_bias": True, "rotary": False, "heads": 2, "head_dim": 8}),
    ("linear-attention", {"feature_map": "relu"}),
    ("linear-attention", {"rotary": "before-map", "scale_output": True}),
    ("linear-attention", {"feature_map": "relu", "rotary": "none"}),
    ("linear-attention", {"feature_map": "relu", "causal": True, "scale_output": True, "head_dim": 32}),
    ("linear-attention", {"feature_map": "relu", "causal": True, "rotary": "none", "heads": 2, "head_dim": 8}),
    *[
        (core, {"block": block, "direction": direction, "merge": merge, "state": 4})
        for core in ("s4d", "mamba")
        for block in ("mlp", "glu", "gss", "mamba")
        for direction, merge in (("forward", "sum"), ("both", "sum"), ("both", "concat"), ("both", "product"))
    ],
    *[
        (core, {"direction": "both", "merge": "quasi-separable", **sizes})
        for core, sizes in (
            ("s4d", {"state": 4}),
            ("mamba", {"state": 4}),
            ("mamba", {"state": 4, "block": "gss"}),
            ("mamba2", {"state": 4}),
            ("gated-delta-net", {"head_dim": 8}),
        )
    ],
    *[(name, {"direction": "backward"}) for name in ("s4d", "mamba", "mamba2", "gated-delta-net", "lstm")],
    ("mamba", {"gate": False, "conv": 1}),
    ("mamba", {"direction": "both", "conv": 5, "conv_alignment": "centred", "gate": False}),
    ("mamba2", {"gate": False, "groups": 2, "head_dim": 8, "state": 4}),
    ("mamba2", {"direction": "both", "conv": 3, "conv_alignment": "centred", "groups": 4, "head_dim": 8, "state": 4}),
    ("hydra", {"gate": False, "groups": 2, "head_dim": 8, "state": 4, "conv": 4, "conv_alignment": "causal"}),
    ("gated-delta-net", {"direction": "both", "head_dim": 8, "gate": False}),
    ("gated-delta-net", {"direction": "both", "merge": "concat", "shared": True, "conv": 3, "conv_alignment": "centred"}),
    ("s4d", {"direction": "both", "shared": True}),
    ("mamba", {"direction": "both", "shared": True, "merge": "concat", "block": "glu"}),
    ("sliding-attention", {"causal": True, "window": 5}),
    ("sliding-attention", {"causal": True, "window": 3, "rotary": False, "heads": 2, "head_dim": 8, "backend": "math"}),
    ("sliding-attention", {"backend": "sdpa"}),
    *[("mamba2", {"direction": "both", "merge": merge, "state": 4}) for merge in ("sum", "concat", "product")],
    ("mamba2", {"direction": "both", "shared": True, "head_dim": 8, "conv": 1, "backend": "reference"}),
    ("hydra", {"state": 4, "head_dim": 8, "conv": 3}),
    ("gated-delta-net", {"head_dim": 8, "conv": 2, "backend": "reference"}),
    ("lstm", {"direction": "both"}),
    ("pair", {"arrangement": "serial", "expand": 0.5}),
    ("pair", {"first": {"name": "sliding-attention", "causal": True, "window": 4}, "second": "mamba2"}),
    ("pair", {"first": {"name": "lstm"}, "second": "identity", "arrangement": "serial"}),
    ("pair", {"first": "mamba", "second": {"name": "mlp", "expand": 2.0}, "arrangement": "serial"}),
]
CASES = [
    pytest.param(name, options, id="-".join([name, *(f"{key}={value}" for key, value in options.items())]))
    for name, options in WITH_DEFAULTS + WITH_OPTIONS
]
every_mixer = pytest.mark.parametrize(("name", "options"), CASES)
CHANNELS = 16


def make(name: str, options: dict[str, Any], channels: int = CHANNELS) -> Mixer:
    """A mixer through the registry, its options validated as a suite's are."""
    entry = registry.mixers[name]
    validated = entry.load_options()(**options).model_dump()
    torch.manual_seed(0)
    return entry.load()(channels, **validated)


def clip(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("name", [name for name, _ in WITH_DEFAULTS])
def test_options_are_the_keywords_of_the_constructor(name: str) -> None:
    entry = registry.mixers[name]
    keywords: dict[str, Any] = {}
    for cls in entry.load().__mro__:  # a constructor that takes **options hands them to the class it derives
        parameters = inspect.signature(cls.__init__).parameters.values()
        keywords |= {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
        if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
            break
    assert keywords == {key: field.default for key, field in entry.load_options().model_fields.items()}


@pytest.mark.parametrize("name", [name for name, _ in WITH_DEFAULTS])
def test_every_option_has_a_line_of_help(name: str) -> None:
    for key, field in registry.mixers[name].load_options().model_fields.items():
        assert field.description, key


@every_mixer
def test_keeps_shape_at_any_length_and_sees_no_other_element_of_the_batch(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options)
    for frames in (1, 2, 7, 33):
        x = clip(4, frames, CHANNELS)
        order = torch.tensor([2, 0, 3, 1])
        with torch.no_grad():
            y, reordered = mixer(x), mixer(x[order])
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.isfinite().all()
        torch.testing.assert_close(reordered, y[order])


@every_mixer
def test_the_future_is_seen_exactly_where_the_mixer_is_not_causal(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options).double()
    x = clip(2, 9, CHANNELS, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(x)[:, 4].square().sum(), x)
    changed = x.detach().clone()
    changed[:, 5:] += 1
    with torch.no_grad():
        difference = (mixer(changed) - mixer(x))[:, :5]
    if mixer.causal:
        assert gradient[:, 5:].abs().max() < 1e-12
        assert difference.abs().max() < 1e-12
    else:
        assert gradient[:, 5:].abs().amax((0, 2)).min() > 1e-9
        assert difference.abs().max() > 1e-6
    if options.get("direction") == "backward":
        assert gradient[:, :4].abs().max() < 1e-12
    elif name not in ("identity", "mlp"):
        assert gradient[:, :4].abs().max() > 1e-9


@every_mixer
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options, channels=2).double()
    x = clip(1, 4, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(mixer, (x,))
    if not list(mixer.parameters()):
        return
    mixer(x).square().sum().backward()
    direction = {key: clip(*p.shape, dtype=torch.float64) for key, p in mixer.named_parameters()}
    slope = sum((p.grad * direction[key]).sum() for key, p in mixer.named_parameters() if p.grad is not None)

    def loss(step: float) -> Tensor:
        moved = {key: p.detach() + step * direction[key] for key, p in mixer.named_parameters()}
        return torch.func.functional_call(mixer, moved, (x.detach(),)).square().sum()

    torch.testing.assert_close((loss(1e-5) - loss(-1e-5)) / 2e-5, slope, rtol=1e-5, atol=1e-8)


@every_mixer
def test_builds_without_memory_and_counts_its_cost_there(name: str, options: dict[str, Any]) -> None:
    real = make(name, options)
    with torch.device("meta"):
        planned = make(name, options)
    assert {key: p.shape for key, p in planned.named_parameters()} == {key: p.shape for key, p in real.named_parameters()}
    assert all(p.is_meta for p in planned.parameters())
    assert (planned.flops(16), planned.state_size(16)) == (real.flops(16), real.state_size(16))


@every_mixer
def test_cost_grows_with_frames(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options)
    flops = [mixer.flops(frames) for frames in (8, 16, 32)]
    states = [mixer.state_size(frames) for frames in (8, 16, 32)]
    assert all(isinstance(cost, int) for cost in flops + states)
    assert states == sorted(states)
    if list(mixer.parameters()):
        assert flops[0] < flops[1] < flops[2]
        assert states[0] > 0 or name == "mlp"
    else:
        assert flops == [0, 0, 0]


@every_mixer
def test_runs_in_bfloat16_autocast(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options)
    x = clip(2, 16, CHANNELS)
    with torch.no_grad():
        exact = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = mixer(x.requires_grad_())
    y.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())
    assert (y.float() - exact).norm() < 0.05 * exact.norm()


WITH_AN_INNER_WIDTH: list[tuple[str, dict[str, Any]]] = [  # a small state, whose maps do not hide the width
    (entry.name, {"state": 8} if "state" in fields else {})
    for entry in registry.mixers
    if "expand" in (fields := entry.load_options().model_fields)
]


@pytest.mark.parametrize(("name", "options"), [*WITH_AN_INNER_WIDTH, ("mamba", {"block": "gss"})])
@pytest.mark.parametrize("channels", [32, 48, 256])
def test_expand_never_narrows(name: str, options: dict[str, Any], channels: int) -> None:
    """The solver's knob: more never means less, and four times the width is more."""
    counts, widths = [], []
    for quarters in range(1, 17):
        with torch.device("meta"):
            mixer = make(name, {**options, "expand": quarters / 4}, channels)
        counts.append(sum(p.numel() for p in mixer.parameters()))
        widths.append(mixer.inner_width)
    assert counts == sorted(counts)
    assert counts[-1] > 2 * counts[3] > 0
    assert widths == sorted(widths)
    assert widths[-1] == 4 * widths[3]


@every_mixer
def test_steps_equal_the_full_pass_and_carry_the_state_that_is_counted(name: str, options: dict[str, Any]) -> None:
    mixer = make(name, options).double()
    x = clip(3, 21, CHANNELS, dtype=torch.float64)
    if not mixer.causal:
        with pytest.raises(ValueError, match="sees the future here, so it cannot run frame by frame"):
            mixer.initial_state(3)
        with pytest.raises(ValueError, match="sees the future here"):
            mixer.step(x[:, 0], ())
        return
    with torch.no_grad():
        state = mixer.initial_state(3)
        outputs = []
        for t, frame in enumerate(x.unbind(1)):
            assert state_elements(state) == 3 * mixer.state_size(t)
            y, state = mixer.step(frame, state)
            outputs.append(y)
        torch.testing.assert_close(torch.stack(outputs, 1), mixer(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [entry.name for entry in registry.mixers if "state" in entry.load_options().model_fields])
def test_the_largest_state_that_can_be_declared_is_counted_before_it_is_allocated(name: str) -> None:
    """So that a plan refuses it, and no kernel runs out of memory."""
    with torch.device("meta"):
        mixer = make(name, {"state": 2**16})
    assert mixer.state_size(16) >= 2**16 * mixer.inner_width
