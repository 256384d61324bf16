"""Short convolutions over frames, one filter a channel, that see the present and the past."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.parts import check_parts

_INSTALL = "pip install --no-build-isolation causal-conv1d (compiles against the torch that is installed)"
_TAPS = (2, 3, 4)
"""Widths that the package has kernels for."""


def causal_conv1d(
    x: Float[Tensor, "batch frames channels"],
    weight: Float[Tensor, "channels taps"],
    bias: Float[Tensor, " channels"] | None = None,
    *,
    silu: bool = False,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames channels"]:
    """Depthwise convolution that sees the present and the past: y_t = bias + sum_k weight[k] x[t - (taps - 1) + k].

    The last tap weighs the present frame, as in ``nn.Conv1d`` with left padding. Sums run in float32 at least; y has the
    dtype of x.

    Args:
        silu: y = SiLU of that.
        reverse: see the present and the future instead; equals flip over frames, convolve, flip.
        backend: ``causal_conv1d`` (the package of that name; CUDA, 2 to 4 taps, channels a multiple of 8), ``torch``, or
            ``auto``, the first of these that can run.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown, cannot run, or does not take these.
    """
    if x.dim() != 3 or weight.dim() != 2 or weight.shape[0] != x.shape[-1] or x.numel() == 0 or weight.numel() == 0:
        raise ValueError(
            f"causal_conv1d takes x (batch, frames, channels) and weight (channels, taps), neither empty, "
            f"got {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    check_parts("causal_conv1d", {"x": (x, x.shape), "weight": (weight, weight.shape), "bias": (bias, (weight.shape[0],))})
    y: Tensor = compute("causal_conv1d", backend, x, x, weight, bias, silu, reverse)
    return y


def _torch(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool) -> Tensor:
    frames, taps = x.shape[1], weight.shape[1]
    wide = torch.promote_types(x.dtype, torch.float32)
    weight = (weight.flip(-1) if reverse else weight).to(wide)
    padded = F.pad(x, (0, 0, 0, taps - 1) if reverse else (0, 0, taps - 1, 0))
    y = padded[:, :frames] * weight[:, 0]
    for k in range(1, taps):
        y = y + padded[:, k : k + frames] * weight[:, k]
    if bias is not None:
        y = y + bias
    return (F.silu(y) if silu else y).to(x.dtype)


@cache
def causal_conv1d_missing() -> str | None:
    """None where the package imports, else how to install it."""
    try:
        importlib.import_module("causal_conv1d")
    except ImportError as error:
        return f"causal_conv1d does not import ({error}); {_INSTALL}"
    return None


def _package(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool) -> Tensor:
    """The kernel takes (batch, channels, frames) with channels adjacent, which is a view; it has no reverse, so frames flip."""
    moved = (x.flip(1) if reverse else x).transpose(1, 2)
    if isinstance(x, FakeTensor):
        y = _Planned.apply(moved, weight, bias)
    else:
        run = importlib.import_module("causal_conv1d").causal_conv1d_fn
        y = run(moved, weight, bias, activation="silu" if silu else None)
    y = y.transpose(1, 2)
    return y.flip(1) if reverse else y


class _Planned(torch.autograd.Function):
    """What the package's own autograd function allocates: the output; and it saves its inputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if part is None else torch.empty_like(part) for part in ctx.saved_tensors)


def _refuses(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool) -> str | None:
    if weight.shape[1] not in _TAPS:
        return f"it takes 2 to 4 taps, not {weight.shape[1]}; use 'torch'"
    if x.shape[2] % 8 or x.dtype is torch.float64:
        return f"it takes channels in multiples of 8 and no float64, not {x.shape[2]} of {x.dtype}; use 'torch'"
    return None


declare(
    "causal_conv1d",
    Backend("causal_conv1d", _package, ("cuda",), causal_conv1d_missing, refuses=_refuses),
    Backend("torch", _torch),
)
