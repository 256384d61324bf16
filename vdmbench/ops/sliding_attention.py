"""Softmax attention to the frames nearby."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.flex_attention import flex_attention, flex_refuses
from vdmbench.ops.fused_attention import fused
from vdmbench.ops.parts import check_heads
from vdmbench.ops.recompute import recomputed


def sliding_attention(
    q: Float[Tensor, "batch heads frames head_dim"],
    k: Float[Tensor, "batch heads frames head_dim"],
    v: Float[Tensor, "batch heads frames head_dim"],
    *,
    window: int,
    causal: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch heads frames head_dim"]:
    """softmax(q k^T / sqrt(head_dim)) v over frames at most ``window`` away (Beltagy et al. 2020, arXiv 2004.05150, sec. 3.1).

    Args:
        window: largest distance of two frames that see each other.
        causal: of these a frame sees itself and the earlier ones.
        backend: ``blocks`` (blocks of ``window`` frames against their neighbours, fused: frames x window in time, frames in
            memory), ``sdpa`` (all pairs under a mask, fused), ``flex`` (PyTorch's FlexAttention, compiled on CUDA; on a CPU
            its plain form, forward only), ``math`` (all pairs, scores in memory), or ``auto``: ``blocks``.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, the window is not positive, or the backend is unknown or cannot run.
    """
    check_heads("sliding_attention", q, k, v)
    if window < 1:
        raise ValueError(f"sliding_attention takes a window of at least 1 frame, got {window}")
    mixed: Tensor = compute("sliding_attention", backend, q, q, k, v, min(window, q.shape[2]), causal)
    return mixed


def _near(query: Tensor, key: Tensor, window: int, causal: bool) -> Bool[Tensor, "queries keys"]:
    """Where frame number ``query`` may see frame number ``key``."""
    back = query[:, None] - key[None, :]
    return (back >= (0 if causal else -window)) & (back <= window)


def _band(q: Tensor, window: int, causal: bool) -> Tensor:
    frame = torch.arange(q.shape[2], device=q.device)
    return _near(frame, frame, window, causal)


def _math(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return scores.masked_fill(~_band(q, window, causal), float("-inf")).softmax(-1).to(v.dtype) @ v


def _sdpa(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    return fused(q, k, v, _band(q, window, causal)[None, None], False)


def _padded(part: Tensor, before: int, after: int) -> Tensor:
    """With frames of zeros before and after, heads joined to the batch."""
    return F.pad(part, (0, 0, before, after)).flatten(0, 1)


def _blocks(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    """Each block of ``window`` queries against its own keys and those of the blocks beside it.

    Blocks take the place of heads, and heads join the batch: fused kernels take four dimensions.
    """
    batch, heads, frames, _ = q.shape
    blocks = -(-frames // window)
    ahead = 0 if causal else window
    tail = blocks * window - frames

    def neighbourhood(part: Tensor) -> Tensor:  # (batch heads, blocks, window + back + ahead, head_dim)
        return recomputed(_padded, part, window, tail + ahead).unfold(1, 2 * window + ahead, window).mT

    queries = recomputed(_padded, q, 0, tail).unflatten(1, (blocks, window))
    inside = torch.arange(window, device=q.device)
    around = torch.arange(-window, window + ahead, device=q.device)
    near = _near(inside, around, window, causal)
    start = torch.arange(blocks, device=q.device)[:, None] * window
    real = (start + around >= 0) & (start + around < frames)  # (blocks, keys)
    mask = near & real[:, None]
    mask = mask | ~(start + inside < frames)[..., None]  # a padded query sees all, so that no row of scores is empty
    mixed = fused(queries, neighbourhood(k), neighbourhood(v), mask[None], False)
    joined: Tensor = recomputed(_joined, mixed, frames, (batch, heads))  # a copy where the kernel puts rows before blocks
    return joined


def _joined(mixed: Tensor, frames: int, batch_and_heads: tuple[int, int]) -> Tensor:
    """Blocks one behind the other, (batch, heads, frames, head_dim)."""
    return mixed.flatten(1, 2)[:, :frames].unflatten(0, batch_and_heads)


declare(
    "sliding_attention",
    Backend("blocks", _blocks),
    Backend("sdpa", _sdpa),
    Backend("flex", flex_attention, ("cuda", "cpu"), by_name_only=True, refuses=flex_refuses),
    Backend("math", _math),
)
