"""How forward FLOPs are counted, so that two mixers' numbers mean the same.

Counted: matrix products and convolutions (a multiply-add is 2, as in PyTorch's ``FlopCounterMode``), and what no generic
counter sees: softmax, rotary embedding, FFTs and scans. An exponential or a logarithm is 1. Left out, as in PyTorch's
counter: biases, activations, gates and norms; and whatever does not grow with the sites, such as an S4D kernel.
"""

from __future__ import annotations

import math

from torch import nn


def matmul(rows: int, inner: int, columns: int) -> int:
    """(rows, inner) times (inner, columns)."""
    return 2 * rows * inner * columns


def linear_maps(module: nn.Module, frames: int) -> int:
    """Every ``nn.Linear`` inside the module, each applied once to each frame."""
    maps = (part for part in module.modules() if isinstance(part, nn.Linear))
    return sum(matmul(frames, part.in_features, part.out_features) for part in maps)


def softmax(elements: int) -> int:
    """Maximum, subtraction, exponential, sum, division: 5 an element."""
    return 5 * elements


def rotary(frames: int, features: int) -> int:
    """Two products and a sum for each rotated feature, of queries and of keys."""
    return 2 * 3 * frames * features


def depthwise_conv(frames: int, channels: int, taps: int) -> int:
    """One filter a channel."""
    return 2 * frames * channels * taps


def fft_convolution(frames: int, channels: int) -> int:
    """FFT, product, inverse FFT of real signals zero-padded to L = 2 frames; a real FFT is 2.5 L log2 L (Cooley-Tukey)."""
    length = 2 * frames
    transform = 2.5 * length * math.log2(length)
    product = 6 * (frames + 1)  # one complex multiplication a bin
    return round(channels * (2 * transform + product))
