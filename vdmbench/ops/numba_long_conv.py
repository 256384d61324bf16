"""The long convolution on the CPU as PyTorch operators over the kernels of :mod:`vdmbench.ops.long_conv_kernels`.

It saves its inputs, as they are, for the backward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.ops.numba_scan import run_kernel


def numba_long_conv(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.long_convolution`."""
    y: Tensor = torch.ops.vdmbench.numba_long_conv(x, kernel, reverse)
    return y


_INPUTS = "Tensor x, Tensor kernel, bool reverse"
torch.library.define("vdmbench::numba_long_conv", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::numba_long_conv_backward", f"(Tensor d_out, {_INPUTS}) -> (Tensor, Tensor)")


@torch.library.register_fake("vdmbench::numba_long_conv")
def _(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.impl("vdmbench::numba_long_conv", "CPU")
def _convolve(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    from vdmbench.ops import long_conv_kernels

    padded, weights = _padded(x), _weights(kernel, x)
    y = np.empty_like(padded)
    run_kernel(long_conv_kernels.forward, y.size, y, padded, weights, reverse)
    return _cut(y, x)


@torch.library.register_fake("vdmbench::numba_long_conv_backward")
def _(d_out: Tensor, x: Tensor, kernel: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), kernel.new_empty(kernel.shape)


@torch.library.impl("vdmbench::numba_long_conv_backward", "CPU")
def _convolve_backward(d_out: Tensor, x: Tensor, kernel: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    from vdmbench.ops import long_conv_kernels

    padded, weights = _padded(x), _weights(kernel, x)
    dx = np.empty_like(padded)
    d_weights = np.zeros((min(len(x), long_conv_kernels.GROUPS), *weights.shape), weights.dtype)
    run_kernel(long_conv_kernels.backward, dx.size, dx, d_weights, _padded(d_out.to(x.dtype)), padded, weights, reverse)
    channels, frames = kernel.shape
    total = np.add.reduce(d_weights, 0)[long_conv_kernels.BLOCK :][:frames, :channels]
    return _cut(dx, x), torch.from_numpy(total).T.to(kernel.dtype).contiguous()


def _padded(x: Tensor) -> np.ndarray:
    """In float32 at least, C-contiguous, frames and channels as the kernels want them; x itself where it is that."""
    wide = torch.promote_types(x.dtype, torch.float32)
    frames, channels = _padding(x)
    moved = x.detach().to(wide)
    return (F.pad(moved, (0, channels, 0, frames)) if frames or channels else moved.contiguous()).numpy()


def _weights(kernel: Tensor, x: Tensor) -> np.ndarray:
    """(8 + padded frames, padded channels), zero before the first lag and after the last."""
    from vdmbench.ops.long_conv_kernels import BLOCK

    frames, channels = _padding(x)
    wide = torch.promote_types(x.dtype, torch.float32)
    return F.pad(kernel.detach().to(wide).T, (0, channels, BLOCK, frames)).contiguous().numpy()


def _padding(x: Tensor) -> tuple[int, int]:
    """Frames and channels that are missing to a multiple of a block."""
    from vdmbench.ops.long_conv_kernels import BLOCK
    from vdmbench.ops.row_kernels import lanes

    itemsize = torch.promote_types(x.dtype, torch.float32).itemsize
    return -x.shape[1] % BLOCK, -x.shape[2] % lanes(itemsize)


def _cut(y: np.ndarray, x: Tensor) -> Tensor:
    _, frames, channels = x.shape
    return torch.from_numpy(y)[:, :frames, :channels].to(x.dtype).contiguous()


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, kernel, ctx.reverse = inputs
    ctx.save_for_backward(x, kernel)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    dx, d_kernel = torch.ops.vdmbench.numba_long_conv_backward(d_out, *ctx.saved_tensors, ctx.reverse)
    return dx, d_kernel, None


torch.library.register_autograd("vdmbench::numba_long_conv", _differentiate, setup_context=_setup)
