"""Attention whose scores factor, so that its cost is linear in frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops import numba_attention
from vdmbench.ops.backends import simulated_device
from vdmbench.ops.numba_linear_attention import numba_linear_attention, refuses
from vdmbench.ops.parts import check_heads

FeatureMap = Literal["softmax", "relu"]
Rotation = Callable[[Tensor], Tensor]
CHUNK = 32
"""Most frames of a chunk, where it is causal."""
EPSILON = 1e-6
"""Keeps the ReLU normaliser from zero where every feature of a query is negative."""


def linear_attention(
    q: Float[Tensor, "batch heads frames head_dim"],
    k: Float[Tensor, "batch heads frames head_dim"],
    v: Float[Tensor, "batch heads frames head_dim"],
    *,
    feature_map: FeatureMap = "softmax",
    rotate: Rotation | None = None,
    causal: bool = False,
) -> Float[Tensor, "batch heads frames head_dim"]:
    """phi_q(q) (phi_k(k)^T v): the (head_dim, head_dim) context first, so frames x frames scores never exist.

    Args:
        feature_map: ``softmax``: softmax of q over its features and of k over frames (Shen et al. 2018, arXiv 1812.01243,
            sec. 3.3); ``relu``: ReLU of both, divided by the sum of the weights (Cai et al. 2022, arXiv 2205.14756, eq. 2;
            as in SANA-Video, arXiv 2509.24695). Maps and sums are in float32 at least, outside autocast.
        rotate: position embedding of the mapped q and k, such as a rotary one; the normaliser sees them without it, so that
            it stays positive (Su et al. 2021, arXiv 2104.09864, sec. 3.3, eq. 19).
        causal: frame t attends to frames 0..t only; with ``relu``, since the softmax of k over frames sees all of them.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the feature map is unknown or cannot be causal.
    """
    if is_fused(q, feature_map, rotate, causal):
        check_heads("linear_attention", q, k, v)
        if _by_weights(q):
            return numba_attention.numba_attention(q, k, v, rotate, softmax=False, causal=False)
        return numba_linear_attention(q, k, v)
    q, k = _features(q, k, v, feature_map, causal)
    turned_q, turned_k = (q, k) if rotate is None else (rotate(q), rotate(k))
    if causal:
        weights = (q * k.cumsum(-2)).sum(-1, keepdim=True)
        return (_causal(turned_q, turned_k, v.to(k.dtype)) / (weights + EPSILON)).to(v.dtype)
    context = turned_k.transpose(-1, -2) @ v.to(k.dtype)  # (batch, heads, head_dim, head_dim)
    mixed = turned_q @ context
    if feature_map == "relu":
        mixed = mixed / (q @ k.sum(-2, keepdim=True).transpose(-1, -2) + EPSILON)
    return mixed.to(v.dtype)


def is_fused(q: Tensor, feature_map: FeatureMap, rotate: Rotation | None, causal: bool) -> bool:
    """Whether :func:`linear_attention` of these is one function that keeps its inputs alone."""
    if feature_map != "softmax" or causal or simulated_device() not in (None, "cpu"):
        return False
    return _by_weights(q) or (rotate is None and refuses(q) is None)


def _by_weights(q: Tensor) -> bool:
    """Where the weights of frames are fewer than the numbers of the context."""
    return q.shape[2] <= q.shape[3] and numba_attention.refuses(q) is None


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """sum_{s <= t} (q_t . k_s) v_s: within a chunk by its scores, from earlier chunks through the sum of their contexts."""
    frames = q.shape[2]
    chunks = -(-frames // CHUNK)
    length = -(-frames // chunks)
    tail = (0, 0, 0, chunks * length - frames)
    q, k, v = (F.pad(part, tail).unflatten(2, (chunks, length)) for part in (q, k, v))
    contexts = k.transpose(-1, -2) @ v  # (batch, heads, chunks, head_dim, head_dim)
    earlier = contexts.cumsum(2) - contexts
    mixed = (q @ k.transpose(-1, -2)).tril() @ v + q @ earlier
    return mixed.flatten(2, 3)[:, :, :frames]


def linear_attention_quadratic(
    q: Float[Tensor, "batch heads frames head_dim"],
    k: Float[Tensor, "batch heads frames head_dim"],
    v: Float[Tensor, "batch heads frames head_dim"],
    *,
    feature_map: FeatureMap = "softmax",
    rotate: Rotation | None = None,
    causal: bool = False,
) -> Float[Tensor, "batch heads frames head_dim"]:
    """The same function by its frames x frames weights: the definition that tests hold :func:`linear_attention` to."""
    q, k = _features(q, k, v, feature_map, causal)
    turned_q, turned_k = (q, k) if rotate is None else (rotate(q), rotate(k))
    weights = turned_q @ turned_k.transpose(-1, -2)  # (batch, heads, frames, frames)
    plain = q @ k.transpose(-1, -2)
    if causal:
        weights, plain = weights.tril(), plain.tril()
    if feature_map == "relu":
        weights = weights / (plain.sum(-1, keepdim=True) + EPSILON)
    return (weights @ v.to(weights.dtype)).to(v.dtype)


def _features(q: Tensor, k: Tensor, v: Tensor, feature_map: str, causal: bool) -> tuple[Tensor, Tensor]:
    check_heads("linear_attention", q, k, v)
    if causal and feature_map == "softmax":
        raise ValueError("the softmax of keys over frames sees all of them: causal takes feature_map 'relu'")
    wide = torch.promote_types(q.dtype, torch.float32)  # sums over all frames overflow or round in half precision
    if feature_map == "softmax":
        return q.to(wide).softmax(-1), k.to(wide).softmax(-2)
    if feature_map == "relu":
        return q.to(wide).relu(), k.to(wide).relu()
    raise ValueError(f"feature_map must be 'softmax' or 'relu', got '{feature_map}'")
