"""The long convolution on CUDA as PyTorch operators over the kernels of :mod:`vdmbench.ops.triton_long_conv_kernels`.

One launch a pass; between the passes its inputs alone are kept. The kernel's gradient is summed in a fixed order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.triton_scan import features_adjacent

_FRAMES = 16
"""Of a tile: the least that tensor cores take."""
_CLIPS, _CLIPS_OF_FLOAT32 = 32, 16
_CHANNELS, _CHANNELS_OF_FLOAT32 = 16, 4
"""Most of a program. float32 has no tensor cores: its products are written out."""
_PROGRAMS = 2048
"""About as many programs as a backward pass has, each with a part of the kernel's gradient."""


def refuses(x: Tensor) -> str | None:
    """Why the kernels do not take it, in one line; None where they do."""
    return "it computes in float32, and does not take float64; use 'fft'" if x.dtype is torch.float64 else None


def triton_long_conv(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    """As :func:`vdmbench.ops.long_convolution`; in half precision the kernel is rounded as x is, and sums are in float32."""
    y: Tensor = torch.ops.vdmbench.triton_long_conv(x, kernel, reverse)
    return y


_INPUTS = "Tensor x, Tensor kernel, bool reverse"
torch.library.define("vdmbench::triton_long_conv", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::triton_long_conv_backward", f"(Tensor d_out, {_INPUTS}) -> (Tensor, Tensor)")


@torch.library.register_fake("vdmbench::triton_long_conv")
def _(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.impl("vdmbench::triton_long_conv", ("CPU", "CUDA"))
def _convolve(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    from vdmbench.ops import triton_long_conv_kernels

    out, x = x.new_empty(x.shape), features_adjacent(x)
    batch, frames, channels = x.shape
    sizes = _sizes(x, reverse)
    with torch.cuda.device_of(out):
        triton_long_conv_kernels.forward[(-(-batch // sizes["CLIPS"]) * _programs(x, sizes),)](
            out, x, x.stride()[:2], kernel.contiguous(), batch, frames, channels, **sizes, num_warps=4
        )
    return out


def _backward_outputs(x: Tensor) -> list[Tensor]:
    """The gradient of x, and the parts of the kernel's, (slots, tiles, 2 x 16 - 1, channels)."""
    batch, frames, channels = x.shape
    sizes = _sizes(x, False)
    slots = min(-(-batch // sizes["CLIPS"]), max(1, _PROGRAMS // _programs(x, sizes)))
    return [x.new_empty(x.shape), x.new_empty((slots, -(-frames // _FRAMES), 2 * _FRAMES - 1, channels), dtype=torch.float32)]


@torch.library.register_fake("vdmbench::triton_long_conv_backward")
def _(d_out: Tensor, x: Tensor, kernel: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    dx, parts = _backward_outputs(x)
    return dx, parts


@torch.library.impl("vdmbench::triton_long_conv_backward", ("CPU", "CUDA"))
def _convolve_backward(d_out: Tensor, x: Tensor, kernel: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    from vdmbench.ops import triton_long_conv_kernels

    dx, parts = _backward_outputs(x)
    x, d_out = features_adjacent(x), features_adjacent(d_out)
    batch, frames, channels = x.shape
    sizes = _sizes(x, reverse)
    with torch.cuda.device_of(d_out):
        triton_long_conv_kernels.backward[(len(parts) * _programs(x, sizes),)](
            dx,
            parts,
            d_out,
            d_out.stride()[:2],
            x,
            x.stride()[:2],
            kernel.contiguous(),
            batch,
            frames,
            channels,
            len(parts),
            **sizes,
            num_warps=8,
        )
    return dx, parts


def _sizes(x: Tensor, reverse: bool) -> dict[str, int]:
    whole = x.dtype is torch.float32
    most = _CHANNELS_OF_FLOAT32 if whole else _CHANNELS
    return {
        "REVERSE": reverse,
        "FRAMES": _FRAMES,
        "CLIPS": _CLIPS_OF_FLOAT32 if whole else _CLIPS,
        "CHANNELS": min(most, 1 << (x.shape[2] - 1).bit_length()),
    }


def _programs(x: Tensor, sizes: dict[str, int]) -> int:
    """Tiles of frames times blocks of channels."""
    return -(-x.shape[1] // _FRAMES) * -(-x.shape[2] // sizes["CHANNELS"])


def _along_lags(parts: Tensor, frames: int) -> Tensor:
    """The kernel's gradient (channels, frames) from sums along the diagonals of tiles: row r of tile d has the lag
    16 d + r - 15, of which those below zero are seen by no frame."""
    sums = parts.sum(0)  # (tiles, 2 x 16 - 1, channels)
    total = sums[:, _FRAMES - 1 :].clone()
    total[:-1, 1:] += sums[1:, : _FRAMES - 1]
    return total.flatten(0, 1)[:frames].T


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, kernel, ctx.reverse = inputs
    ctx.save_for_backward(x, kernel)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    x, kernel = ctx.saved_tensors
    dx, parts = torch.ops.vdmbench.triton_long_conv_backward(d_out, x, kernel, ctx.reverse)
    return dx, _along_lags(parts, x.shape[1]).to(kernel.dtype).contiguous(), None


torch.library.register_autograd("vdmbench::triton_long_conv", _differentiate, setup_context=_setup)
