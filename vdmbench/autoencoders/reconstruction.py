"""How well video survives an autoencoder."""

from __future__ import annotations

import math

from jaxtyping import UInt8
from torch import Tensor

IDENTICAL = 100.0
"""dB of frames without any error, and the most that is told."""


def psnr(real: UInt8[Tensor, "*shape"], reconstructed: UInt8[Tensor, "*shape"]) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / mean squared error), of all frames together; 100 at most."""
    error = float((real.double() - reconstructed.double()).square().mean())
    return IDENTICAL if error == 0 else min(IDENTICAL, 10 * math.log10(255**2 / error))
