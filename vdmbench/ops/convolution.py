"""Convolutions over frames, one filter a channel: short and direct, or as long as the video by FFT."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor


def causal_conv1d(
    x: Float[Tensor, "batch frames channels"],
    weight: Float[Tensor, "channels taps"],
    bias: Float[Tensor, " channels"] | None = None,
    *,
    reverse: bool = False,
) -> Float[Tensor, "batch frames channels"]:
    """Depthwise convolution that sees the present and the past: y_t = bias + sum_k weight[k] x[t - (taps - 1) + k].

    The last tap weighs the present frame, as in ``nn.Conv1d`` with left padding. ``reverse`` sees the present and the
    future instead: it equals flip over frames, convolve, flip.
    """
    if x.dim() != 3 or weight.dim() != 2 or weight.shape[0] != x.shape[-1]:
        raise ValueError(f"causal_conv1d takes x (batch, frames, channels) and weight (channels, taps), got {tuple(x.shape)} "
                         f"and {tuple(weight.shape)}")
    frames, taps = x.shape[1], weight.shape[1]
    if reverse:
        weight = weight.flip(-1)
    padded = F.pad(x, (0, 0, 0, taps - 1) if reverse else (0, 0, taps - 1, 0))
    y = sum(padded[:, k:k + frames] * weight[:, k] for k in range(taps))
    assert isinstance(y, Tensor)
    return y if bias is None else y + bias


def fft_convolution(
    x: Float[Tensor, "batch frames channels"],
    kernel: Float[Tensor, "channels frames"],
    *,
    reverse: bool = False,
) -> Float[Tensor, "batch frames channels"]:
    """Causal convolution with a kernel as long as the video: y_t = sum_{s <= t} kernel[t - s] x_s, by FFT.

    Zero-padded to twice the frames, so that the circular convolution of the FFT does not wrap (Gu et al. 2022,
    arXiv 2111.00396, sec. 2.4). ``reverse`` equals flip over frames, convolve, flip. In float32 at least: half-precision
    FFTs take powers of two only.
    """
    if x.dim() != 3 or kernel.shape != (x.shape[2], x.shape[1]):
        raise ValueError("fft_convolution takes x (batch, frames, channels) and kernel (channels, frames), got "
                         f"{tuple(x.shape)} and {tuple(kernel.shape)}")
    frames = x.shape[1]
    wide = torch.promote_types(x.dtype, torch.float32)
    spectrum = torch.fft.rfft(x.to(wide), n=2 * frames, dim=1)  # (batch, frames + 1, channels)
    response = torch.fft.rfft(kernel.to(wide), n=2 * frames).transpose(0, 1)  # (frames + 1, channels)
    if reverse:  # correlation: the conjugate response runs the kernel backwards in time
        response = response.conj()
    return torch.fft.irfft(spectrum * response, n=2 * frames, dim=1)[:, :frames].to(x.dtype)


def s4d_kernel(
    dt: Float[Tensor, " channels"],
    A: Complex[Tensor, "channels modes"],
    C: Complex[Tensor, "channels modes"],
    frames: int,
) -> Float[Tensor, "channels {frames}"]:
    """Impulse response of a diagonal SSM with B = 1 under zero-order hold.

        K_l = 2 Re sum_n C_n (exp(dt A_n) - 1) / A_n exp(dt A_n l)

    One of each conjugate pair of modes is held, hence 2 Re (Gu et al. 2022, arXiv 2206.11893, sec. 3 and listing 1).
    """
    step = dt[:, None] * A  # (channels, modes)
    powers = torch.exp(step[..., None] * torch.arange(frames, device=A.device))  # (channels, modes, frames)
    return 2 * torch.einsum("cn,cnl->cl", C * torch.expm1(step) / A, powers).real
