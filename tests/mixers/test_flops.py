"""FLOPs: what PyTorch's counter sees agrees with it, and what it does not see is there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vdmbench.mixers import Mixer, flops
from vdmbench.mixers.attention import Attention
from vdmbench.mixers.linear_attention import LinearAttention
from vdmbench.mixers.mamba import Mamba
from vdmbench.mixers.s4d import S4D

FRAMES, SITES, CHANNELS = 24, 5, 64


def counted(mixer: Mixer) -> int:
    """PyTorch's count per site."""
    with FlopCounterMode(display=False) as counter:
        mixer(torch.randn(SITES, FRAMES, CHANNELS))
    total = counter.get_total_flops()
    assert total % SITES == 0
    return total // SITES


def test_attention_is_its_matrix_products_softmax_and_rotary() -> None:
    mixer = Attention(CHANNELS, head_dim=16, backend="math")
    assert mixer.flops(FRAMES) - counted(mixer) == flops.softmax(4 * FRAMES**2) + flops.rotary(FRAMES, CHANNELS)


def test_causal_attention_counts_the_pairs_it_needs() -> None:
    full, causal = (Attention(CHANNELS, causal=causal, rotary=False) for causal in (False, True))
    maps = flops.linear_maps(full, FRAMES)
    assert (causal.flops(FRAMES) - maps) / (full.flops(FRAMES) - maps) == pytest.approx((FRAMES + 1) / (2 * FRAMES))


def test_linear_attention_is_its_matrix_products_and_maps() -> None:
    mixer = LinearAttention(CHANNELS, head_dim=16, rotary="none")
    unseen = 4 * FRAMES * CHANNELS * 16  # the two products of the fused kernel, which no counter of PyTorch's sees
    assert mixer.flops(FRAMES) - counted(mixer) == flops.softmax(2 * FRAMES * CHANNELS) + unseen


@pytest.mark.parametrize("options", [{}, {"direction": "both"}, {"direction": "both", "merge": "concat", "block": "gss"}])
@pytest.mark.parametrize("cls", [S4D, Mamba])
def test_state_space_layers_are_their_linear_maps_and_what_runs_over_frames(cls: Any, options: dict[str, Any]) -> None:
    mixer = cls(CHANNELS, **options)
    linear = sum(2 * FRAMES * p.numel() for key, p in mixer.named_parameters() if p.dim() == 2 and is_linear(key))
    beyond = mixer.flops(FRAMES) - linear
    directions = 2 if options else 1
    inner = CHANNELS if options.get("block") == "gss" else 2 * CHANNELS
    conv = 0 if options.get("block") == "gss" else 2 * 4 * inner * FRAMES
    scan = (7 * 16 + 7) * inner * FRAMES if cls is Mamba else flops.fft_convolution(FRAMES, inner) + 2 * inner * FRAMES
    assert beyond == directions * (conv + scan)


def is_linear(key: str) -> bool:
    """Weights of ``nn.Linear``: all matrices but the cores' own and the convolution's taps."""
    return key.endswith(".weight") and ".conv." not in key
