"""Parameters start as published."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from vdmbench.mixers.attention import Attention
from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.mamba import S6Core
from vdmbench.mixers.s4d import S4DCore


def test_s4d_starts_as_s4d_lin() -> None:
    torch.manual_seed(0)
    core = S4DCore(64, state=16)
    torch.testing.assert_close(-core.log_A_real.exp(), torch.full((64, 8), -0.5))
    torch.testing.assert_close(core.A_imag, math.pi * torch.arange(8.0).expand(64, 8))
    steps = core.log_dt.exp()
    assert 1e-3 <= steps.min() < 3e-3 < 3e-2 < steps.max() <= 1e-1
    assert 0.8 < torch.view_as_complex(core.C.detach()).abs().square().mean() < 1.2


def test_mamba_starts_with_steps_in_range_and_real_decay() -> None:
    torch.manual_seed(0)
    core = S6Core(64, state=16, backend="auto")
    torch.testing.assert_close(core.A_log.exp(), torch.arange(1.0, 17).expand(64, 16))
    assert torch.equal(core.D, torch.ones(64))
    steps = F.softplus(core.dt_proj.bias)
    assert 0.99e-3 <= steps.min() < 3e-3 < 3e-2 < steps.max() <= 1.01e-1
    assert core.dt_proj.weight.abs().max() <= 0.5  # rank 4


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
