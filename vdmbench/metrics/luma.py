"""Brightness and colour of a pixel, apart."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue
BLUE, RED = 0.5 / (1 - LUMA[2]), 0.5 / (1 - LUMA[0])


def luma_and_chroma(colour: Tensor) -> Tensor:
    """Y, Cb and Cr (ITU-R BT.601, section 2.5.1) in place of red, green and blue, at dimension -3: Y in [0, 1], the others
    in [-0.5, 0.5], nothing for grey."""
    luma = torch.einsum("...chw,c->...hw", colour, colour.new_tensor(LUMA))
    return torch.stack([luma, BLUE * (colour[..., 2, :, :] - luma), RED * (colour[..., 0, :, :] - luma)], dim=-3)
