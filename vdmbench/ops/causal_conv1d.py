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
from vdmbench.ops.numba_scan import numba_missing
from vdmbench.ops.numba_short_conv import numba_short_conv
from vdmbench.ops.parts import check_parts
from vdmbench.ops.triton_conv import refuses, triton_conv
from vdmbench.ops.triton_scan import DEVICES, triton_missing

_INSTALL = "pip install --no-build-isolation causal-conv1d (compiles against the torch that is installed)"
_TAPS = (2, 3, 4)
"""Widths that the package has kernels for."""


def causal_conv1d(
    x: Float[Tensor, "batch frames channels"],
    weight: Float[Tensor, "channels taps"],
    bias: Float[Tensor, " channels"] | None = None,
    *,
    silu: bool = False,
    ahead: int = 0,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames channels"]:
    """Depthwise convolution that sees the present and the past: y_t = bias + sum_k weight[k] x[t + ahead - (taps - 1) + k].

    Where ``ahead`` is 0 the last tap weighs the present frame, as in ``nn.Conv1d`` with left padding. Sums run in float32 at
    least; y has the dtype of x.

    Args:
        silu: y = SiLU of that.
        ahead: later frames that it sees as well; of 2 ``ahead`` + 1 taps the middle one weighs the present frame.
        reverse: see the present and the future instead; equals flip over frames, convolve, flip.
        backend: ``triton`` (CUDA), ``numba`` (CPU), ``torch``, or ``auto``, the first of these that can run; by name alone
            ``causal_conv1d`` (the package of that name; CUDA, 2 to 4 taps, channels a multiple of 8).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown, cannot run, or does not take these.
    """
    if x.dim() != 3 or weight.dim() != 2 or weight.shape[0] != x.shape[-1] or x.numel() == 0 or weight.numel() == 0:
        raise ValueError(
            f"causal_conv1d takes x (batch, frames, channels) and weight (channels, taps), neither empty, "
            f"got {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    check_parts("causal_conv1d", {"x": (x, x.shape), "weight": (weight, weight.shape), "bias": (bias, (weight.shape[0],))})
    if not 0 <= ahead < weight.shape[1]:
        raise ValueError(f"causal_conv1d takes ahead from 0 to taps - 1, {weight.shape[1] - 1}, got {ahead}")
    y: Tensor = compute("causal_conv1d", backend, x, x, weight, bias, silu, ahead, reverse)
    return y


def _torch(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    frames, taps = x.shape[1], weight.shape[1]
    wide = torch.promote_types(x.dtype, torch.float32)
    weight = (weight.flip(-1) if reverse else weight).to(wide)
    behind = taps - 1 - ahead
    padded = F.pad(x, (0, 0, ahead, behind) if reverse else (0, 0, behind, ahead))
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


def _package(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    """The kernel takes (batch, channels, frames) with channels adjacent, which is a view, and strides of frames that are
    multiples of 8. It has no reverse, so frames flip, and sees the past alone, so that a clip goes on by ``ahead`` frames."""
    x = x.flip(1) if reverse else x
    x = F.pad(x, (0, 0, 0, ahead)) if ahead else x
    aligned = x.stride(2) == 1 and x.stride(1) % 8 == 0 and x.stride(0) % 8 == 0
    moved = (x if aligned else x.contiguous()).transpose(1, 2)
    if isinstance(x, FakeTensor):
        y = _Planned.apply(moved, weight, bias)
    else:
        run = importlib.import_module("causal_conv1d").causal_conv1d_fn
        y = run(moved, weight, bias, activation="silu" if silu else None)
    y = y.transpose(1, 2)[:, ahead:]
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


def _refuses(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> str | None:
    if weight.shape[1] not in _TAPS:
        return f"it takes 2 to 4 taps, not {weight.shape[1]}; use 'torch'"
    if x.shape[2] % 8 or x.dtype is torch.float64:
        return f"it takes channels in multiples of 8 and no float64, not {x.shape[2]} of {x.dtype}; use 'torch'"
    return None


def _triton_refuses(x: Tensor, *_: Any) -> str | None:
    return refuses(x)


declare(
    "causal_conv1d",
    Backend("triton", triton_conv, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend(
        "causal_conv1d",
        _package,
        ("cuda",),
        causal_conv1d_missing,
        by_name_only=True,
        refuses=_refuses,
        package="causal-conv1d",
    ),
    Backend("numba", numba_short_conv, ("cpu",), numba_missing),
    Backend("torch", _torch),
)
