"""Convolutions over frames with a filter as long as the video, one a channel; and the filter of a diagonal SSM."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.numba_long_conv import numba_long_conv
from vdmbench.ops.numba_scan import numba_missing
from vdmbench.ops.parts import check_parts
from vdmbench.ops.recompute import from_inputs
from vdmbench.ops.triton_long_conv import refuses, triton_long_conv
from vdmbench.ops.triton_scan import DEVICES, triton_missing

_MOST_FRAMES = 512
"""From here on an FFT is faster on a CPU than sums over lags: 256 frames were 3.1 times slower, 1,024 1.3 times faster."""
_ROOM = 1 << 22
"""Numbers of x that are transformed at a time: spectra take four times as many, in float32."""


def long_convolution(
    x: Float[Tensor, "batch frames channels"],
    kernel: Float[Tensor, "channels frames"],
    *,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames channels"]:
    """Causal convolution with a kernel as long as the video: y_t = sum_{s <= t} kernel[t - s] x_s.

    In float64 where x is float64, in float32 otherwise; y has the dtype of x. The backward pass begins with x and kernel alone.

    Args:
        reverse: see the present and the future instead; equals flip over frames, convolve, flip.
        backend: ``triton`` (CUDA; block-Toeplitz matrix products, one launch a pass), ``numba`` (sums over lags, up to 512
            frames; CPU), ``fft`` (anywhere), ``reference`` (the Toeplitz matrix of each channel), or ``auto``, the first that
            can run.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown, cannot run, or does not take these.
    """
    if x.dim() != 3 or kernel.shape != (x.shape[2], x.shape[1]) or x.numel() == 0:
        raise ValueError(
            "long_convolution takes x (batch, frames, channels) and kernel (channels, frames), none empty, got "
            f"{tuple(x.shape)} and {tuple(kernel.shape)}"
        )
    check_parts("long_convolution", {"x": (x, x.shape), "kernel": (kernel, kernel.shape)})
    y: Tensor = compute("long_convolution", backend, x, x, kernel, reverse)
    return y


def _reference(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    y: Tensor = from_inputs(_by_definition, x, kernel, reverse)
    return y


def _by_definition(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    frame = torch.arange(x.shape[1], device=x.device)
    lag = frame[:, None] - frame[None, :]
    lag = -lag if reverse else lag
    toeplitz = torch.where(lag >= 0, kernel.to(wide)[:, lag.clamp(min=0)], 0.0)  # (channels, frames, frames)
    with torch.autocast(x.device.type, enabled=False):
        return torch.einsum("cts,bsc->btc", toeplitz, x.to(wide)).to(x.dtype)


class _Fft(torch.autograd.Function):
    """By FFT of twice the frames, so that a circular convolution does not wrap (Gu et al. 2022, arXiv 2111.00396, sec. 2.4)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
        ctx.reverse = reverse
        ctx.save_for_backward(x, kernel)
        return _filtered(x, kernel, reverse)

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        dx = _filtered(d_out[0], kernel, not ctx.reverse) if ctx.needs_input_grad[0] else None
        d_kernel = _correlated(x, d_out[0], ctx.reverse).to(kernel.dtype) if ctx.needs_input_grad[1] else None
        return dx, d_kernel, None


def _filtered(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    frames = x.shape[1]
    response = _spectrum(kernel.to(torch.promote_types(x.dtype, torch.float32)))
    if reverse:  # the conjugate response runs the kernel backwards in time
        response = response.conj()
    parts = [torch.fft.irfft(spectrum * response, n=2 * frames)[..., :frames].mT.to(x.dtype) for spectrum in _spectra(x)]
    return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)


def _correlated(x: Tensor, d_out: Tensor, reverse: bool) -> Tensor:
    """The gradient of the kernel: at lag l the sum of x_t d_out_{t + l} over frames and the batch."""
    frames = x.shape[1]
    total = 0
    for ours, theirs in zip(_spectra(x), _spectra(d_out), strict=True):
        total = total + ((ours * theirs.conj()) if reverse else (ours.conj() * theirs)).sum(0)
    return torch.fft.irfft(total, n=2 * frames)[..., :frames]


def _spectra(x: Tensor) -> Any:
    """Of some batch elements at a time, (batch, channels, frames + 1)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    for rows in x.split(max(1, _ROOM // (x.shape[1] * x.shape[2]))):
        yield _spectrum(rows.mT.to(wide))


def _spectrum(x: Tensor) -> Tensor:
    return torch.fft.rfft(x, n=2 * x.shape[-1])


def _fft(x: Tensor, kernel: Tensor, reverse: bool) -> Tensor:
    y: Tensor = _Fft.apply(x, kernel, reverse)
    return y


def _numba_refuses(x: Tensor, kernel: Tensor, reverse: bool) -> str | None:
    if x.shape[1] > _MOST_FRAMES:
        return f"it takes at most {_MOST_FRAMES} frames, not {x.shape[1]}; use 'fft'"
    return None


def _triton_refuses(x: Tensor, kernel: Tensor, reverse: bool) -> str | None:
    return refuses(x)


declare(
    "long_convolution",
    Backend("triton", triton_long_conv, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("numba", numba_long_conv, ("cpu",), numba_missing, refuses=_numba_refuses),
    Backend("fft", _fft),
    Backend("reference", _reference),
)


def s4d_kernel(
    dt: Float[Tensor, " channels"],
    A: Complex[Tensor, "channels modes"],
    C: Complex[Tensor, "channels modes"],
    frames: int,
) -> Float[Tensor, "channels {frames}"]:
    """Impulse response of a diagonal SSM with B = 1 under zero-order hold.

        K_l = 2 Re sum_n C_n (exp(dt A_n) - 1) / A_n exp(dt A_n l)

    One of each conjugate pair of modes is held, hence 2 Re (Gu et al. 2022, arXiv 2206.11893, sec. 3 and listing 1). A lag is
    cut into l = a + width b, so that the powers of a and of b, some root of the frames each, meet in a matrix product, and
    nothing of (channels, modes, frames) exists.
    """
    step = dt[:, None] * A  # (channels, modes)
    width = math.isqrt(frames - 1) + 1
    place = torch.arange(width, device=A.device)
    near = torch.exp(step[:, :, None] * place)  # (channels, modes, width)
    far = torch.exp(step[:, None, :] * (width * place)[:, None]) * (C * torch.expm1(step) / A)[:, None, :]
    return 2 * (far @ near).real.flatten(1)[:, :frames]
