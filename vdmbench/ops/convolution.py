"""Convolutions over frames as long as the video, one filter a channel, by FFT."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from vdmbench.ops.parts import check_parts


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
        raise ValueError(
            "fft_convolution takes x (batch, frames, channels) and kernel (channels, frames), got "
            f"{tuple(x.shape)} and {tuple(kernel.shape)}"
        )
    check_parts("fft_convolution", {"x": (x, x.shape), "kernel": (kernel, kernel.shape)})
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
