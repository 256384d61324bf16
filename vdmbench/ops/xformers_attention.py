"""Softmax attention by the xformers package."""

from __future__ import annotations

import importlib
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.ops.backends import Backend
from vdmbench.ops.fused_attention import HALF, ROWS, Kernel, by_rows, kernel_inputs, mask_of, planned, plans_gpu


@cache
def xformers_missing() -> str | None:
    """None where ``xformers.ops`` imports, else how to install it."""
    try:
        importlib.import_module("xformers.ops")
    except ImportError as error:
        return f"xformers does not import ({error}); pip install xformers (the release built for the torch that is installed)"
    return None


def _arguments(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor | None]:
    """Queries, keys and values as (batch, frames, heads, head_dim), and a mask whose rows are aligned as kernels want them."""
    q, k, v = kernel_inputs(q, k, v)
    mask = mask_of(q, bias, causal)
    if mask is not None:
        frames = q.shape[2]
        mask = F.pad(mask, (0, -frames % 8)).expand(q.shape[0], -1, -1, -1)[..., :frames]
    return (q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)), mask


def _bias(mask: Tensor | None, causal: bool) -> Any:
    return importlib.import_module("xformers.ops").LowerTriangularMask() if causal and mask is None else mask


def _run(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    return by_rows(partial(_launch, bias, causal), q, k, v)


def _launch(bias: Tensor | None, causal: bool, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    parts, mask = _arguments(q, k, v, bias, causal)
    if plans_gpu(q):  # FlashAttention-2 in half precision without a bias, else its own kernel, which PyTorch took over
        q, k, v = (part.transpose(1, 2) for part in parts)
        kernel: Kernel = "flash" if q.dtype in HALF and mask is None else "efficient"
        return planned(kernel, q, k, v, mask, causal and mask is None)
    ops = importlib.import_module("xformers.ops")
    mixed: Tensor = ops.memory_efficient_attention(*parts, attn_bias=_bias(mask, causal))
    return mixed.transpose(1, 2)


def _ran(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str:
    """xformers with the kernel that its dispatcher selects, which may be one of PyTorch's."""
    if plans_gpu(q):
        return "xformers"
    # The package has no public name for this; where it goes by another, the kernel is not known and none is claimed.
    dispatch = getattr(importlib.import_module("xformers.ops.fmha.dispatch"), "_dispatch_fw", None)
    if dispatch is None:
        return "xformers"
    parts, mask = _arguments(q[:ROWS], k[:ROWS], v[:ROWS], bias, causal)
    inputs = importlib.import_module("xformers.ops.fmha").Inputs(*parts, attn_bias=_bias(mask, causal))
    needs_gradient = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    return f"xformers ({dispatch(inputs, needs_gradient).NAME})"


def _refuses(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str | None:
    return "it takes no float64" if q.dtype is torch.float64 else None


XFORMERS = Backend(
    "xformers", _run, ("cuda",), xformers_missing, by_name_only=True, refuses=_refuses, ran=_ran, package="xformers"
)
"""A backend of :func:`vdmbench.ops.attention`."""
