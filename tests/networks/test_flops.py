"""FLOPs of a network against a count by hand, and against PyTorch's counter over the network as it runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vdmbench.networks import build
from vdmbench.networks.flops import count_flops, skeleton_of

NETWORK: dict[str, Any] = {"name": "unet3d", "base_channels": 8, "multipliers": (1, 2)}
FRAMES, SIZE = 6, 16


def test_spatial_part_by_hand() -> None:
    """Two levels of 8 and 16 channels, 1 head: every convolution and matrix product of the description."""
    network = build(NETWORK, {"name": "identity"})
    fine, coarse = SIZE**2, SIZE**2 // 4

    def block(i: int, o: int, places: int) -> int:
        return places * (9 * i * o + 9 * o * o + (i * o if i != o else 0))

    def linear_attention(c: int, places: int) -> int:
        """With more places than channels, the maps to values and output act on the sums over places."""
        assert places > c
        return places * 4 * c * 32 + 2 * 32 * 32 * c

    film = 256 * 2 * (8 + 8 + 16 + 16 + 16 + 16 + 8 + 8 + 8 + 8)  # once a clip
    embedding = 8 * 256 + 256 * 256
    stem = fine * 49 * 3 * 8
    down = block(8, 8, fine) * 2 + linear_attention(8, fine) + coarse * 16 * 8 * 8
    down += block(8, 16, coarse) + block(16, 16, coarse) + linear_attention(16, coarse)
    middle = 2 * block(16, 16, coarse) + coarse * (3 * 16 * 32 + 2 * coarse * 32 + 32 * 16)
    up = block(32, 8, coarse) + block(8, 8, coarse) + linear_attention(8, coarse) + coarse * 16 * 8 * 8
    up += block(16, 8, fine) + block(8, 8, fine) + linear_attention(8, fine)
    head = block(16, 8, fine) + fine * 8 * 3
    multiply_adds = FRAMES * (stem + down + middle + up + head) + film + embedding
    assert network.flops(FRAMES, SIZE, SIZE) == 2 * multiply_adds


def test_temporal_part_is_each_mixers_count_at_its_sites() -> None:
    network = build(NETWORK, {"name": "mamba"})
    count, skeleton = count_flops(network, FRAMES, SIZE, SIZE), skeleton_of(network, FRAMES, SIZE, SIZE)
    layers = network.temporal_layers()
    sites = [SIZE**2, SIZE**2, SIZE**2 // 4, SIZE**2 // 4, SIZE**2 // 4, SIZE**2]
    assert list(count.temporal) == list(layers)
    assert list(skeleton.sequences.values()) == [(n, FRAMES) for n in sites]
    assert list(count.temporal.values()) == [n * layer.flops(FRAMES) for n, layer in zip(sites, layers.values(), strict=True)]
    assert network.flops(FRAMES, SIZE, SIZE) == count.spatial + sum(count.temporal.values())
    assert count.spatial == build(NETWORK, {"name": "identity"}).flops(FRAMES, SIZE, SIZE)


def test_equals_pytorchs_counter_where_it_sees_everything() -> None:
    """On un-fused attention, all but the softmax; the spatial attention in the middle is fused, and unseen on a CPU."""
    # In float64, which runs on operators of PyTorch alone.
    network = build(NETWORK, {"name": "attention", "backend": "math", "rotary": False}).double()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, FRAMES, 3, SIZE, SIZE, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    places = SIZE**2 // 4
    heads = 2  # of attention on 8 and on 16 channels
    softmax = sum(n * heads * 5 * length**2 for n, length in skeleton_of(network, FRAMES, SIZE, SIZE).sequences.values())
    unseen = FRAMES * 2 * 2 * places**2 * 32
    assert network.flops(FRAMES, SIZE, SIZE) == counter.get_total_flops() + softmax + unseen


@pytest.mark.parametrize("preset", ["fair", "oshima2024"])
def test_counts_on_a_planned_network_and_leaves_a_real_one_as_it_was(preset: str) -> None:
    mixer = {"name": "attention", "heads": 1, "head_dim": 8, "relative_bias": True}
    torch.manual_seed(0)
    real = build({**NETWORK, "preset": preset}, mixer)
    x, t = torch.ones(1, 2, 3, 8, 8), torch.tensor([1])
    with torch.no_grad():
        before = real(x, t)
        flops = real.flops(FRAMES, SIZE, SIZE)
        assert torch.equal(real(x, t), before)
    with torch.device("meta"):
        planned = build({**NETWORK, "preset": preset}, mixer)
    assert planned.flops(FRAMES, SIZE, SIZE) == flops
