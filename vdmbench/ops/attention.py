"""Softmax attention over frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, choose, declare


def attention(
    q: Float[Tensor, "batch heads frames head_dim"],
    k: Float[Tensor, "batch heads frames head_dim"],
    v: Float[Tensor, "batch heads frames head_dim"],
    *,
    bias: Float[Tensor, "heads frames frames"] | None = None,
    causal: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch heads frames head_dim"]:
    """softmax(q k^T / sqrt(head_dim) + bias) v (Vaswani et al. 2017, arXiv 1706.03762, eq. 1).

    Args:
        bias: added to the scores of every batch element; a position bias.
        causal: frame t attends to frames 0..t only.
        backend: ``math`` keeps the scores, (batch, heads, frames, frames), for the backward pass; ``sdpa`` is PyTorch's
            fused kernel, whichever of its own it selects; ``auto`` is ``sdpa``.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown or cannot run.
    """
    if not q.shape == k.shape == v.shape or q.dim() != 4:
        raise ValueError(f"attention takes q, k, v of one shape (batch, heads, frames, head_dim), got {tuple(q.shape)}, "
                         f"{tuple(k.shape)}, {tuple(v.shape)}")
    if bias is not None and bias.shape != (q.shape[1], q.shape[2], q.shape[2]):
        raise ValueError(f"attention takes a bias of (heads, frames, frames) = {(q.shape[1], q.shape[2], q.shape[2])}, "
                         f"got {tuple(bias.shape)}")
    return choose("attention", backend, q).run(q, k, v, bias, causal)


def _math(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (batch, heads, frames, frames)
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = scores.masked_fill(_future(scores), float("-inf"))
    return scores.softmax(-1).to(v.dtype) @ v


def _sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    mask = bias.to(q.dtype)
    if causal:  # PyTorch takes a mask or is_causal, never both
        mask = mask.masked_fill(_future(mask), float("-inf"))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[None])


def _future(scores: Tensor) -> Tensor:
    """True where the key (last axis) lies after the query."""
    frames = scores.shape[-1]
    return torch.ones(frames, frames, dtype=torch.bool, device=scores.device).triu(1)


declare("attention", Backend("sdpa", _sdpa), Backend("math", _math))
