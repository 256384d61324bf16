"""Linear maps of many rows, on a CPU by oneDNN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

IMAGES = 32
"""Images that rows are dealt to; of 16 and fewer PyTorch leaves a convolution to its own loops."""


def linear(
    x: Float[Tensor, "*places inputs"], weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"] | None = None
) -> Float[Tensor, "*places outputs"]:
    """x W^T + b, as ``F.linear``.

    PyTorch hands float32 products on a CPU to MKL, which leaves half of an AMD processor's vector width unused, and
    convolutions to oneDNN, which does not: here the map is a convolution of one pixel. On a Zen 5 core it takes half the time,
    forward and backward, at 2 to 256 features.
    """
    rows = x.numel() // max(1, x.shape[-1])
    if not _pays(x, rows):
        return F.linear(x, weight, bias)
    images = x.reshape(IMAGES, rows // IMAGES, 1, x.shape[-1]).permute(0, 3, 1, 2)  # channels last, as they lie
    y = F.conv2d(images, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def _pays(x: Tensor, rows: int) -> bool:
    """float32 alone: oneDNN takes half precision from ``F.linear`` too, and float64 from neither."""
    return (
        x.device.type == "cpu"
        and x.dtype is torch.float32
        and rows > 0
        and rows % (8 * IMAGES) == 0
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


class Linear(nn.Linear):
    """``nn.Linear`` whose product is :func:`linear`."""

    def forward(self, x: Float[Tensor, "*places inputs"]) -> Float[Tensor, "*places outputs"]:
        return linear(x, self.weight, self.bias)
