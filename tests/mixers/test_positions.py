"""Rotary embedding and relative bias: what they tell apart."""

from __future__ import annotations

import pytest
import torch

from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.relative_bias import RelativeBias
from vdmbench.mixers.rotary import Rotary


@pytest.mark.parametrize("head_dim", [8, 32, 64])
def test_rotary_weights_depend_on_distance_alone(head_dim: int) -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, head_dim, dtype=torch.float64).expand(2, 1, 1, 12, head_dim)
    rotary = Rotary(head_dim)
    scores = (rotary(q) @ rotary(k).transpose(-1, -2))[0, 0]
    for distance in range(-5, 6):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[0].unique().numel() == 12


def test_rotary_stored_frequencies_are_the_computed_ones_and_frozen() -> None:
    x = torch.randn(1, 2, 5, 64)
    stored = Rotary(64, stored=True)
    assert [p.numel() for p in stored.parameters()] == [16]
    assert not any(p.requires_grad for p in stored.parameters())
    assert list(Rotary(64).parameters()) == []
    assert torch.equal(stored(x), Rotary(64)(x))


def test_rotary_needs_pairs() -> None:
    with pytest.raises(ValueError, match="head_dim must be even, got 7"):
        Rotary(7)


def test_relative_bias_tells_distances_apart_up_to_its_maximum() -> None:
    near, far = RelativeBias(1, max_distance=32), RelativeBias(1, max_distance=1024)
    with torch.no_grad():
        for bias in (near, far):
            bias.table.copy_(torch.arange(32.0)[:, None])
        saturated, whole = near(256)[0, 0], far(256)[0, 0]
    assert saturated[32:].unique().numel() == 1  # the published bias at 256 frames
    assert whole[32:].unique().numel() >= 4
    assert (whole[1:].diff() >= 0).all()


def test_causal_relative_bias_spends_all_buckets_on_the_past() -> None:
    bias = RelativeBias(1, buckets=32, max_distance=128, causal=True)
    with torch.no_grad():
        bias.table.copy_(torch.arange(32.0)[:, None])
        values = bias(200)[0]
    assert values[-1].unique().numel() == 32
    assert (values.triu(1) == 0).all()  # the future is distance 0: attention masks it


@pytest.mark.parametrize(
    ("options", "message"), [({"buckets": 6}, "multiple of 4"), ({"max_distance": 8}, "max_distance must be over 8")]
)
def test_relative_bias_refuses_sizes_that_do_not_fit(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RelativeBias(2, **options)


@pytest.mark.parametrize("feature_map", ["softmax", "relu"])
def test_linear_attention_rotated_after_its_map_sees_order(feature_map: str) -> None:
    """Without positions linear attention is the same for any order of the frames; with them it is not, and a shift in time
    of the whole clip is still without effect."""
    torch.manual_seed(0)
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    plain = LinearAttention(16, feature_map=feature_map, rotary="none").double()  # type: ignore[arg-type]
    torch.testing.assert_close(plain(x[:, order]), plain(x)[:, order])
    rotated = LinearAttention(16, feature_map=feature_map).double()  # type: ignore[arg-type]
    assert not torch.allclose(rotated(x[:, order]), rotated(x)[:, order], rtol=1e-3)
