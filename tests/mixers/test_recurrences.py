"""Mamba-2, Gated DeltaNet, LSTM and windows against what they are defined to be; parameters that two directions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vdmbench.mixers import Mixer
from vdmbench.mixers.attention import Attention
from vdmbench.mixers.gated_delta_net import GatedDeltaNet, unit
from vdmbench.mixers.lstm import LSTM
from vdmbench.mixers.mamba import Mamba
from vdmbench.mixers.mamba2 import Mamba2
from vdmbench.mixers.s4d import S4D
from vdmbench.mixers.sliding_attention import SlidingAttention


def clip(frames: int, channels: int = 16) -> torch.Tensor:
    return torch.randn(2, frames, channels, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("cls", [S4D, Mamba, Mamba2])
@pytest.mark.parametrize("merge", ["sum", "product"])
def test_shared_directions_commute_with_time_reversal(cls: Any, merge: str) -> None:
    """With the same parameters both ways, a clip played backwards gives the output played backwards."""
    torch.manual_seed(0)
    shared, own = (cls(16, direction="both", merge=merge, shared=shared, state=4).double() for shared in (True, False))
    x = clip(9)
    torch.testing.assert_close(shared(x.flip(1)).flip(1), shared(x))
    assert not torch.allclose(own(x.flip(1)).flip(1), own(x))
    count = {mixer: sum(p.numel() for p in mixer.parameters()) for mixer in (shared, own)}
    assert count[shared] < count[own]
    assert shared.flops(16) == own.flops(16)
    assert shared.state_size(16) == own.state_size(16)


@pytest.mark.parametrize("cls", [S4D, Mamba, Mamba2])
def test_shared_has_no_meaning_in_one_direction(cls: Any) -> None:
    with pytest.raises(ValueError, match="shared has no effect in one direction"):
        cls(16, shared=True)


@pytest.mark.parametrize("causal", [True, False])
def test_a_window_as_long_as_the_clip_is_attention(causal: bool) -> None:
    window, full = SlidingAttention(16, window=12, causal=causal).double(), Attention(16, causal=causal).double()
    full.load_state_dict(window.state_dict())
    torch.testing.assert_close(window(clip(13)), full(clip(13)))
    assert window.flops(13) == full.flops(13)
    assert window.state_size(12) == full.state_size(12)
    assert window.state_size(100) == window.state_size(12)


def test_a_window_reaches_as_far_as_it_says() -> None:
    mixer = SlidingAttention(16, window=3).double()
    x = clip(11).requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(x)[:, 5].sum(), x)
    assert [bool(reached) for reached in gradient.abs().sum((0, 2)) > 0] == [2 <= t <= 8 for t in range(11)]


def test_windowed_cost_is_linear_in_frames() -> None:
    mixer = SlidingAttention(16, window=4)
    assert mixer.flops(400) - mixer.flops(300) == mixer.flops(300) - mixer.flops(200)


@pytest.mark.parametrize("channels", [32, 256])
def test_parameters_of_mamba2_are_the_published_count(channels: int) -> None:
    """Input map to z, x, B, C, dt; convolution with bias over x, B, C; A, D, dt bias; norm; output map (Mamba-2, code)."""
    inner, state, heads = 2 * channels, 64, max(2, 2 * channels // 64)
    want = channels * (2 * inner + 2 * state + heads) + (inner + 2 * state) * 5 + 3 * heads + inner + inner * channels
    assert sum(p.numel() for p in Mamba2(channels).parameters()) == want


def test_gated_delta_net_forgets_nothing_where_its_steps_are_zero() -> None:
    """With dt at 0 the decay is 1: the last output still depends on the first frame, as much as a key allows."""
    mixer = GatedDeltaNet(16, head_dim=8, conv=1).double()
    with torch.no_grad():
        mixer.along.to_dt_and_beta.weight.zero_()
    reach = []
    for dt in (-40.0, 3.0):
        with torch.no_grad():
            mixer.along.steps.dt_bias.fill_(dt)
        x = clip(60).requires_grad_()
        (gradient,) = torch.autograd.grad(mixer(x)[:, -1].sum(), x)
        reach.append(float(gradient[:, 0].norm()))
    assert reach[0] > 1e-9
    assert reach[1] < 1e-9 * reach[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 300.0])
def test_keys_have_length_one_in_half_precision_too(scale: float, dtype: torch.dtype) -> None:
    """Where they are long against 1e-3; and the gradient of none is not a number."""
    x = (scale * clip(3).to(dtype)).requires_grad_()
    length = unit(x).float().norm(dim=-1)
    given = x.detach().float().norm(dim=-1)
    torch.testing.assert_close(length, given / (given.square() + 1e-6).sqrt(), rtol=1e-2, atol=0)
    (gradient,) = torch.autograd.grad(length.sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("cls", [S4D, Mamba, Mamba2, GatedDeltaNet, LSTM])
def test_backward_is_flip_forward_flip(cls: Callable[..., Mixer]) -> None:
    forward, backward = cls(16).double(), cls(16, direction="backward").double()
    backward.load_state_dict(forward.state_dict())
    torch.testing.assert_close(backward(clip(12)), forward(clip(12).flip(1)).flip(1))
    assert (forward.causal, backward.causal) == (True, False)
    assert (forward.flops(9), forward.state_size(9)) == (backward.flops(9), backward.state_size(9))


@pytest.mark.parametrize("cls", [S4D, Mamba, Mamba2, GatedDeltaNet])
def test_quasi_separable_directions_see_the_present_frame_through_their_diagonal_alone(cls: Callable[..., Mixer]) -> None:
    """With D at zero no frame sees itself: what the scans give is strictly of the past, and strictly of the future."""
    mixer = cls(8, direction="both", merge="quasi-separable", conv=1, gate=False).double()
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            if name.split(".")[-1] == "D":
                parameter.zero_()
    x = clip(7)[..., :8].requires_grad_()
    for frame in (0, 3, 6):
        (gradient,) = torch.autograd.grad(mixer(x)[:, frame].square().sum(), x)
        reached = gradient.abs().sum((0, 2)) > 1e-12
        assert reached.tolist() == [other != frame for other in range(7)]


def test_lstm_directions_stand_side_by_side() -> None:
    forward, both = LSTM(16, expand=0.5).double(), LSTM(16, expand=0.5, direction="both").double()
    assert forward.inner_width == both.inner_width == 8
    assert both.out.in_features == 2 * forward.out.in_features
    assert both.state_size(5) == 2 * forward.state_size(5) == 32
