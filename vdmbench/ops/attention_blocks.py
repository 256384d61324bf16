"""Attention with a bias on a CPU: blocks of queries, whose softmax is made again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.fused_attention import future, kernel_inputs

_ROOM = 1 << 17
"""Most scores at a time: they, and what is made of them, stay in a core's cache."""


def attention_by_blocks(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool) -> Tensor:
    """As :func:`vdmbench.ops.attention`, in float32 at least. Keeps its inputs alone for the backward pass."""
    q, k, v = kernel_inputs(q, k, v)
    mixed: Tensor = _Blocks.apply(q, k, v, bias.masked_fill(future(bias), float("-inf")) if causal else bias)
    return mixed


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v, bias)
        out = _like_heads(q)
        for rows, queries in _blocks(q):
            weights, _ = _softmax(q, k, bias, rows, queries)
            out[rows, :, queries] = weights @ v[rows].to(weights.dtype)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
        q, k, v, bias = ctx.saved_tensors
        wide = torch.promote_types(q.dtype, torch.float32)
        d_q, d_k, d_v = (_like_heads(q) for _ in range(3))
        d_bias = torch.zeros_like(bias, dtype=wide)
        scale = q.shape[-1] ** -0.5
        to_k = to_v = d_bias.new_zeros(())
        for rows, queries in _blocks(q):
            weights, asked = _softmax(q, k, bias, rows, queries)
            d_mixed, keys = d_out[rows, :, queries].to(wide), k[rows].to(wide)
            d_scores = torch._softmax_backward_data(d_mixed @ v[rows].to(wide).mT, weights, -1, wide)
            d_q[rows, :, queries] = (d_scores @ keys).mul_(scale)
            if ctx.needs_input_grad[3]:
                d_bias[:, queries] += d_scores.sum(0)
            earlier = (to_k, to_v) if queries.start else (0, 0)  # of the same clip
            to_k, to_v = earlier[0] + d_scores.mT @ asked, earlier[1] + weights.mT @ d_mixed
            if queries.stop == q.shape[2]:
                d_k[rows], d_v[rows] = to_k, to_v
        return d_q, d_k, d_v, d_bias.to(bias.dtype)


def _blocks(q: Tensor) -> Iterator[tuple[slice, slice]]:
    """Batch elements and queries of each block: several clips, or where one is too much, some of its queries."""
    batch, heads, frames, _ = q.shape
    clips = max(1, _ROOM // (heads * frames * frames))
    queries = frames if clips > 1 else min(frames, max(1, _ROOM // (heads * frames)))
    for first in range(0, batch, clips):
        for start in range(0, frames, queries):
            yield slice(first, min(batch, first + clips)), slice(start, min(frames, start + queries))


def _softmax(q: Tensor, k: Tensor, bias: Tensor, rows: slice, queries: slice) -> tuple[Tensor, Tensor]:
    """Of a block of scores, and its queries as they entered them."""
    wide = torch.promote_types(q.dtype, torch.float32)
    asked = q[rows, :, queries].to(wide) * q.shape[-1] ** -0.5
    scores = asked @ k[rows].to(wide).mT
    return scores.add_(bias[:, queries]).softmax(-1), asked


def _like_heads(q: Tensor) -> Tensor:
    """(batch, heads, frames, head_dim) whose heads lie side by side in a frame, as the linear map after them wants it."""
    return q.new_empty(q.transpose(1, 2).shape).transpose(1, 2)
