"""Sliding attention by FlexAttention (Dong et al. 2024, arXiv 2412.05496): a mask by rule, blocks outside it left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.fused_attention import HALF, by_rows, kernel_inputs, planned, plans_gpu


def flex_attention(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    """On CUDA one fused kernel, compiled at its first call; on a CPU the plain form, which holds all scores."""
    q, k, v = kernel_inputs(q, k, v)
    if plans_gpu(q):  # output and log-sum-exp are kept, as by the other fused kernels; the block mask is a few kilobytes
        return planned("flash" if q.dtype in HALF else "efficient", q, k, v, None, causal)
    # Of short clips PyTorch takes its decoding kernel, which has batch elements times heads on one axis of its grid.
    return by_rows(partial(_launch, _block_mask(q.shape[2], window, causal, q.device)), q, k, v, with_heads=True)


def _launch(mask: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if q.device.type == "cuda":
        mixed: Tensor = _compiled()(q, k, v, block_mask=mask)
        return mixed
    from torch.nn.attention.flex_attention import flex_attention as plain

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")  # as documented
        plain_mixed = plain(q, k, v, block_mask=mask)
    assert isinstance(plain_mixed, Tensor)
    return plain_mixed


def flex_refuses(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> str | None:
    """None where FlexAttention takes these, else why not."""
    if q.device.type == "cpu" and not plans_gpu(q) and torch.is_grad_enabled() and any(p.requires_grad for p in (q, k, v)):
        return "FlexAttention has no backward pass on cpu; use 'blocks' to train, or torch.no_grad()"
    return None


@cache
def _compiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention as plain

    return torch.compile(plain, dynamic=False)


@cache
def _block_mask(frames: int, window: int, causal: bool, device: torch.device) -> Any:
    """The rule, and which blocks of frames it leaves out; made once for each length."""
    from torch.nn.attention.flex_attention import create_block_mask

    def near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        back = query - key
        return (back >= (0 if causal else -window)) & (back <= window)

    return create_block_mask(near, None, None, frames, frames, device=device)
