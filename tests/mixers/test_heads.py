"""Heads of attention and of scans, by width."""

from __future__ import annotations

import pytest

from vdmbench.mixers.attention import Attention
from vdmbench.mixers.gated_delta_net import GatedDeltaNet
from vdmbench.mixers.heads import narrow_heads
from vdmbench.mixers.hydra import Hydra
from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.making import mixer_maker
from vdmbench.mixers.mamba2 import Mamba2
from vdmbench.mixers.sliding_attention import SlidingAttention
from vdmbench.networks import build

KINDS = [Attention, LinearAttention, SlidingAttention]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("channels", "heads"), [(8, 2), (16, 2), (24, 3), (32, 4), (40, 5), (48, 6), (56, 7), (64, 8), (96, 3), (128, 4), (256, 8)]
)
def test_narrow_attention_has_a_head_for_eight_channels_and_at_least_two(kind, channels, heads):
    mixer = kind(channels)
    assert (mixer.heads.count, mixer.heads.count * mixer.heads.dim) == (heads, channels)


@pytest.mark.parametrize(
    ("inner", "channels", "expected"),
    [
        (40, 32, (5, 8)),
        (48, 32, (3, 16)),
        (56, 32, (7, 8)),
        (64, 32, (4, 16)),
        (80, 32, (5, 16)),
        (8, 32, (2, 4)),
        (16, 64, (2, 8)),
    ],
)
def test_where_the_number_does_not_divide_the_nearest_that_does_is_taken(inner, channels, expected):
    assert narrow_heads(inner, channels) == expected
    count, dim = (
        Attention(channels, expand=inner / channels).heads.count,
        Attention(channels, expand=inner / channels).heads.dim,
    )
    assert (count, dim) == expected


def test_every_inner_width_is_met_in_equal_heads():
    for inner in range(8, 520, 8):
        count, dim = narrow_heads(inner, 48)
        assert count * dim == inner
        assert count >= 2
        assert dim % 8 == 0 or inner == 8


@pytest.mark.parametrize("kind", [Mamba2, Hydra, GatedDeltaNet])
@pytest.mark.parametrize("channels", [16, 24, 32, 64, 128])
def test_scans_have_two_heads_at_least(kind, channels):
    mixer = kind(channels)
    heads = next(part.A_log.numel() for part in mixer.modules() if hasattr(part, "A_log"))
    assert heads >= 2
    assert mixer.inner_width == (channels if kind is GatedDeltaNet else 2 * channels)


def test_a_head_dim_that_is_given_holds_at_every_width():
    assert (Attention(64, head_dim=64).heads.count, Attention(32, head_dim=16).heads.dim) == (1, 16)
    assert Attention(32, heads=4).heads.inner == 4 * 32, "a number of heads fixes them at 32 features"
    assert mixer_maker({"name": "mamba2", "head_dim": 64})(32).inner_width == 64


def test_attention_within_the_frames_of_a_small_dit_has_several_heads():
    network = build({"name": "dit", "base_channels": 64, "depth": 2, "cross_attention": True}, {"name": "mamba"})
    within = network.blocks[0].mix.mixer
    assert (within.heads.count, within.heads.dim) == (8, 8)
    assert network.blocks[0].cross.heads == 8
