from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.diffusion.gaussian import noise_of
from vdmbench.diffusion import FlowMatching, guided, guided_in_one_batch, sample_heun

NOISE = noise_of(0, 3, 4, 2)


def conditional(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x + 0.001 * t.view(-1, 1, 1) + 0.4)


def unconditional(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x + 0.001 * t.view(-1, 1, 1))


def both(x: Tensor, t: Tensor) -> Tensor:
    half = len(x) // 2
    return torch.cat([conditional(x[:half], t[:half]), unconditional(x[half:], t[half:])])


def sampled(denoiser) -> Tensor:
    return sample_heun(FlowMatching(), denoiser, lambda: NOISE, steps=6, clip_x0=False)


def test_scale_one_is_no_guidance_to_the_bit():
    plain = sampled(conditional)
    assert torch.equal(sampled(guided(conditional, unconditional, 1.0)), plain)
    assert torch.equal(sampled(guided_in_one_batch(conditional, both, 1.0)), plain)


def test_scale_zero_is_unconditional():
    torch.testing.assert_close(sampled(guided(conditional, unconditional, 0.0)), sampled(unconditional))


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_one_batch_gives_what_two_evaluations_give(scale: float):
    one, two = sampled(guided_in_one_batch(conditional, both, scale)), sampled(guided(conditional, unconditional, scale))
    torch.testing.assert_close(one, two)
    assert (two - sampled(conditional)).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_guidance_is_linear_in_the_prediction(scale: float):
    x, t = NOISE, torch.full((3,), 200.0)
    expected = scale * conditional(x, t) + (1 - scale) * unconditional(x, t)
    torch.testing.assert_close(guided(conditional, unconditional, scale)(x, t), expected)
