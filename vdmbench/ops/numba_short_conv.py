"""The short convolution on the CPU as PyTorch operators over the kernels of :mod:`vdmbench.ops.short_conv_kernels`.

Operators for the reasons of :mod:`vdmbench.ops.numba_scan`; they save their inputs for the backward pass and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.ops.numba_scan import run_kernel


def numba_short_conv(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.causal_conv1d`."""
    y: Tensor = torch.ops.vdmbench.numba_short_conv(x, weight, bias, silu, ahead, reverse)
    return y


_INPUTS = "Tensor x, Tensor weight, Tensor? bias, bool silu, int ahead, bool reverse"
torch.library.define("vdmbench::numba_short_conv", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::numba_short_conv_backward", f"(Tensor dy, {_INPUTS}) -> Tensor[]")


class _Filter:
    """A filter (channels, taps) as the kernels take it, and what comes back of its gradient."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor | None, ahead: int, reverse: bool) -> None:
        from vdmbench.ops import row_kernels

        self.wide = torch.promote_types(x.dtype, torch.float32)
        self.reverse = reverse
        self.channels, self.taps = weight.shape
        self.before = ahead if reverse else self.taps - 1 - ahead
        lanes = row_kernels.lanes(np.dtype(np.float64 if self.wide is torch.float64 else np.float32).itemsize)
        self.missing = -self.channels % lanes
        padding = (0, self.missing, 0, -self.taps % row_kernels.STATES)
        taps = weight.detach().to(self.wide).T
        self.filters = F.pad(taps.flip(0) if reverse else taps, padding).contiguous()
        none = torch.zeros(self.channels, dtype=self.wide)
        self.bias = F.pad(none if bias is None else bias.detach().to(self.wide), padding[:2])[None].numpy()

    def of_weight(self, d_filters: np.ndarray) -> Tensor:
        """The gradient of the weight from that of each group's filters."""
        taps = torch.from_numpy(np.add.reduce(d_filters, 0))[: self.taps, : self.channels]
        return (taps.flip(0) if self.reverse else taps).T.contiguous()

    def padded(self, x: Tensor) -> np.ndarray:
        """In the dtype and with the channels of the kernels."""
        wide = x.detach().to(self.wide)
        found: np.ndarray = (F.pad(wide, (0, self.missing)) if self.missing else wide.contiguous()).numpy()
        return found

    def cut(self, y: np.ndarray, dtype: torch.dtype) -> Tensor:
        """A result without the channels that were missing."""
        return torch.from_numpy(y)[..., : self.channels].to(dtype).contiguous()


@torch.library.impl("vdmbench::numba_short_conv", "CPU")
def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    from vdmbench.ops import short_conv_kernels

    under = _Filter(x, weight, bias, ahead, reverse)
    padded = under.padded(x)
    y = np.empty_like(padded)
    run_kernel(short_conv_kernels.forward, padded.size, y, padded, under.filters.numpy(), under.bias, under.before, silu)
    return under.cut(y, x.dtype)


@torch.library.register_fake("vdmbench::numba_short_conv")
def _(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.impl("vdmbench::numba_short_conv_backward", "CPU")
def _conv_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool
) -> list[Tensor]:
    """Gradients of x, of the weight, and of the bias where there is one."""
    from vdmbench.ops import short_conv_kernels

    under = _Filter(x, weight, bias, ahead, reverse)
    groups = min(x.shape[0], short_conv_kernels.GROUPS)
    filters = under.filters.numpy()
    padded = under.padded(x)
    dx = np.empty_like(padded)
    d_filters = np.zeros((groups, *filters.shape), filters.dtype)
    d_bias = np.zeros((groups, filters.shape[1]), filters.dtype)
    run_kernel(
        short_conv_kernels.backward,
        dx.size,
        dx,
        d_filters,
        d_bias,
        under.padded(dy),
        padded,
        filters,
        under.filters.flip(0).numpy(),
        under.bias,
        under.before,
        silu,
    )
    found = [under.cut(dx, x.dtype), under.of_weight(d_filters).to(weight.dtype)]
    if bias is not None:
        found.append(torch.from_numpy(np.add.reduce(d_bias, 0)[: under.channels]).to(bias.dtype))
    return found


@torch.library.register_fake("vdmbench::numba_short_conv_backward")
def _(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, ahead: int, reverse: bool) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in (x, weight, bias) if tensor is not None]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, *ctx.flags = inputs
    ctx.save_for_backward(x, weight, bias)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    gradients = torch.ops.vdmbench.numba_short_conv_backward(dy, *ctx.saved_tensors, *ctx.flags)
    return (*gradients, *(None for _ in range(6 - len(gradients))))


torch.library.register_autograd("vdmbench::numba_short_conv", _differentiate, setup_context=_setup)
