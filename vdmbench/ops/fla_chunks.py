"""The SSD scan and the gated delta rule by flash-linear-attention's chunked kernels; on fake tensors, what they allocate.

The package (Yang et al., github.com/fla-org/flash-linear-attention) takes (batch, frames, heads, features) and the logarithm of
each head's decay. It has no reverse, so frames are flipped, and puts batch times heads on an axis of the grid that ends at
65,535, so that a larger batch is cut.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vdmbench.ops.fused_attention import HALF

_GRID = 65_535
"""Most blocks along the second and third axis of a CUDA grid."""
_CHUNK = 64
"""Frames of a chunk."""
_MOST_FEATURES = 256
"""Of a key, in the package's kernel of states."""


@cache
def fla_missing() -> str | None:
    """None where the modules of the kernels import, else how to install them."""
    try:
        for name in ("simple_gla", "gated_delta_rule"):
            importlib.import_module(f"fla.ops.{name}")
    except ImportError as error:
        return f"fla.ops does not import ({error}); pip install flash-linear-attention"
    return None


def fla_delta(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.gated_delta_scan`, by ``chunk_gated_delta_rule``."""
    parts = (q.to(v.dtype), k.to(v.dtype), v, log_decay.float(), beta.to(v.dtype))
    return _by_rows(_planned_delta if isinstance(v, FakeTensor) else _delta, parts, reverse)


def fla_delta_refuses(k: Tensor, v: Tensor) -> str | None:
    """Why the package does not take these, in one line; None where it does."""
    if v.dtype not in HALF:
        return f"it takes float16 or bfloat16, not {v.dtype}; use 'triton'"
    if k.shape[-1] > _MOST_FEATURES:
        return f"it takes keys of at most {_MOST_FEATURES} features, not {k.shape[-1]}; use 'chunked'"
    return None


def fla_ssd(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, reverse: bool) -> Tensor:
    """h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t^T, y_t = h_t C_t, by ``chunk_simple_gla``: its queries are C, its keys
    B, its values delta x, and its gates delta A.

    Args:
        delta: (batch, frames, heads) in float32, softplus and bias included.
    """
    heads = x.shape[2] // B.shape[2]
    B, C = (part.to(x.dtype).repeat_interleave(heads, 2) for part in (B, C))
    parts = (C, B, (x * delta[..., None]).to(x.dtype), delta * A.float())
    return _by_rows(_planned_ssd if isinstance(x, FakeTensor) else _ssd, parts, reverse)


def fla_ssd_refuses(x: Tensor) -> str | None:
    """Why the package does not take it, in one line; None where it does."""
    return "it takes no float64; use 'chunked'" if x.dtype is torch.float64 else None


def _delta(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    run = importlib.import_module("fla.ops.gated_delta_rule").chunk_gated_delta_rule
    o: Tensor = run(q, k, v, g, beta, scale=1.0)[0]
    return o


def _ssd(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    run = importlib.import_module("fla.ops.simple_gla").chunk_simple_gla
    o: Tensor = run(q, k, v, g, scale=1.0)[0]
    return o


def _by_rows(run: Callable[..., Tensor], parts: tuple[Tensor, ...], reverse: bool) -> Tensor:
    parts = tuple(part.flip(1) if reverse else part for part in parts)
    rows = max(1, _GRID // parts[0].shape[2])
    cut = [run(*each) for each in zip(*(part.split(rows) for part in parts), strict=True)]
    y = cut[0] if len(cut) == 1 else torch.cat(cut)
    return y.flip(1) if reverse else y


# ---- planned: what the package allocates, on fake tensors ---------------------------------------------------------


def _planned_delta(*parts: Tensor) -> Tensor:
    o: Tensor = _Planned.apply(True, *parts)
    return o


def _planned_ssd(*parts: Tensor) -> Tensor:
    o: Tensor = _Planned.apply(False, *parts)
    return o


class _Planned(torch.autograd.Function):
    """The memory of the package's autograd functions (0.4): what they allocate lives here as long as it does there. Of the
    delta rule they keep the triangular systems of chunks, solved, beside inputs and summed gates."""

    @staticmethod
    def forward(ctx: Any, delta: bool, *parts: Tensor) -> Tensor:
        q, k, v, g, *beta = parts
        summed = torch.empty_like(g)
        solved = [v.new_empty(*v.shape[:3], _CHUNK)] if delta else []
        mapped = [torch.empty_like(k), torch.empty_like(v), torch.empty_like(v)] if delta else []
        states = _states(k, v, v.dtype)
        ctx.save_for_backward(q, k, v, summed, *beta, *solved)
        ctx.delta = delta
        o = torch.empty_like(v)
        del mapped, states
        return o

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, g, *rest = ctx.saved_tensors
        mapped = [torch.empty_like(k), torch.empty_like(v), torch.empty_like(v)] if ctx.delta else []
        wide = v.dtype if ctx.delta else torch.float32
        states = [_states(k, v, wide), _states(k, v, wide)]
        found = [torch.empty_like(part) for part in (q, k, v, g, *rest[:1])]
        of_maps = [torch.empty_like(k), torch.empty_like(v)] if ctx.delta else []
        del mapped, states, of_maps
        return None, *found


def _states(k: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
    """What enters each chunk."""
    batch, frames, heads, key = k.shape
    return v.new_empty(batch, -(-frames // _CHUNK), heads, key, v.shape[3], dtype=dtype)
