"""The temporal layers of Oshima et al. 2024 (arXiv 2403.07711) under their published names, as a suite declares them."""

from __future__ import annotations

from typing import Any

_MAMBA_BLOCK = {"block": "mamba", "expand": 2.0, "state": 16, "conv": 4}
_BOTH = {"direction": "both", "merge": "sum"}


def published_mixers(base_channels: int = 32) -> dict[str, dict[str, Any]]:
    """Published name to ``{"name": ..., **options}``, for ``UNet3D(preset="oshima2024")`` of that width.

    Attention has base_channels / 8 heads of 64 features on every level, un-fused, with rotary embedding and a relative
    bias that saturates at 32 frames; the state-space layers stand in the paper's default block (its version 20).
    """
    heads = {"heads": base_channels // 8, "head_dim": 64}
    return {
        "attn": {"name": "attention", **heads, "rotary": True, "relative_bias": True, "max_distance": 32, "backend": "math"},
        "l-attn": {
            "name": "linear-attention",
            **heads,
            "feature_map": "softmax",
            "rotary": "before-map",
            "scale_output": True,
        },
        "s4d": {"name": "s4d", "direction": "forward", **_MAMBA_BLOCK},
        "bi-s4d": {"name": "s4d", **_BOTH, **_MAMBA_BLOCK},
        "s6": {"name": "mamba", "direction": "forward", **_MAMBA_BLOCK},
        "bi-s6": {"name": "mamba", **_BOTH, **_MAMBA_BLOCK},
    }
