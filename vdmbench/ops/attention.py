"""Softmax attention over frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops import numba_attention
from vdmbench.ops.attention_blocks import attention_by_blocks
from vdmbench.ops.backends import Backend, choose, compute, declare
from vdmbench.ops.fused_attention import SDPA, future, kernel_inputs
from vdmbench.ops.numba_scan import numba_missing
from vdmbench.ops.parts import check_heads, check_parts
from vdmbench.ops.recompute import recomputed
from vdmbench.ops.triton_attention import refuses as triton_refuses
from vdmbench.ops.triton_attention import triton_attention
from vdmbench.ops.triton_scan import DEVICES, triton_missing
from vdmbench.ops.xformers_attention import XFORMERS


def attention(
    q: Float[Tensor, "batch heads frames head_dim"],
    k: Float[Tensor, "batch heads frames head_dim"],
    v: Float[Tensor, "batch heads frames head_dim"],
    *,
    bias: Float[Tensor, "heads frames frames"] | None = None,
    causal: bool = False,
    rotate: Callable[[Tensor], Tensor] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "batch heads frames head_dim"]:
    """softmax(q k^T / sqrt(head_dim) + bias) v (Vaswani et al. 2017, arXiv 1706.03762, eq. 1).

    Args:
        bias: added to the scores of every batch element; a position bias.
        causal: frame t attends to frames 0..t only.
        rotate: position embedding of q and k, such as a rotary one: linear, of pairs of adjacent features, and of each frame by
            itself. What it gives is made again in the backward pass.
        backend: ``numba`` (CPU; up to 64 frames) rotates, and makes the softmax again, inside one function. ``math`` keeps the
            scores, (batch, heads, frames, frames), for the backward pass. ``sdpa`` is PyTorch's
            ``scaled_dot_product_attention``, whichever of its kernels it selects; what it selected is recorded.
            ``sdpa-flash``, ``sdpa-efficient`` and ``sdpa-cudnn`` are that function held to one kernel, ``xformers`` is
            memory-efficient attention of that package. ``triton`` (CUDA; up to 128 features of a head) and ``blocks`` (CPU;
            blocks of queries) are for scores with a bias: they make the softmax again in the backward pass, and sum the
            bias' gradient as they go, where PyTorch's kernels write it for every batch element. ``auto`` is the first of
            ``triton``, ``blocks``, ``numba`` and ``sdpa`` that can run.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown, cannot run, or does not take these.
    """
    check_heads("attention", q, k, v)
    if bias is not None:
        check_parts("attention", {"q": (q, q.shape), "bias": (bias, (q.shape[1], q.shape[2], q.shape[2]))})
    arguments: tuple[Any, ...] = (q, k, v, bias, causal)
    if rotate is not None:
        # What the compiler traces is rotated there: it makes one pass of it by itself.
        if not torch.compiler.is_compiling() and choose("attention", backend, q, *arguments).name == "numba":
            backend, arguments = "numba", (*arguments, rotate)
        else:
            arguments = (recomputed(rotate, q), recomputed(rotate, k), v, bias, causal)
    mixed: Tensor = compute("attention", backend, q, *arguments)
    return mixed


def _math(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (batch, heads, frames, frames)
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = scores.masked_fill(future(scores), float("-inf"))
    return scores.softmax(-1).to(v.dtype) @ v


def _without_bias(bias: Tensor | None) -> str | None:
    return "it is for scores with a bias; use 'sdpa'" if bias is None else None


def _triton_refuses(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str | None:
    return _without_bias(bias) or triton_refuses(kernel_inputs(q, k, v)[0])


def _triton(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, causal: bool) -> Tensor:
    return triton_attention(*kernel_inputs(q, k, v), bias, causal)


def _numba_refuses(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, rotate: Callable[[Tensor], Tensor] | None = None
) -> str | None:
    if bias is not None:
        return "it takes no bias; use 'blocks'"
    return numba_attention.refuses(kernel_inputs(q, k, v)[0])


def _numba(
    q: Tensor, k: Tensor, v: Tensor, bias: None, causal: bool, rotate: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    return numba_attention.numba_attention(*kernel_inputs(q, k, v), rotate, softmax=True, causal=causal)


def _blocks_refuses(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str | None:
    return _without_bias(bias)


declare(
    "attention",
    Backend("triton", _triton, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("blocks", attention_by_blocks, ("cpu",), refuses=_blocks_refuses),
    Backend("numba", _numba, ("cpu",), numba_missing, refuses=_numba_refuses),
    *SDPA,
    XFORMERS,
    Backend("math", _math),
)
