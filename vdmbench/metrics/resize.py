"""Bilinear resampling in the three ways that published distances differ by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.metrics.protocol import Resize


def resize(
    images: Float[Tensor, "batch channels height width"], size: int, rule: Resize
) -> Float[Tensor, "batch channels _ _"]:
    """Squash ``images`` to ``size`` x ``size`` pixels.

    "half-pixel": pixel centres at (i + 1/2), what torch and TensorFlow 2 do, without anti-aliasing. "legacy": output pixel
    i reads input position i * in / out, TensorFlow 1's ``resize_bilinear``, which shifts the picture up and left.
    "antialias": half-pixel centres with the filter widened by the reduction.
    """
    if images.shape[-2:] == (size, size):
        return images
    if rule == "legacy":
        return _legacy_axis(_legacy_axis(images, size, -2), size, -1)
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=rule == "antialias")


def _legacy_axis(
    images: Float[Tensor, "batch channels height width"], size: int, axis: int
) -> Float[Tensor, "batch channels _ _"]:
    length = images.shape[axis]
    # In float32 as TensorFlow 1 computes it, so that a position on an integer falls on the same side.
    position = torch.arange(size, dtype=torch.float32, device=images.device) * torch.tensor(length / size)
    low = position.floor().long()
    high = (low + 1).clamp_max(length - 1)
    part = (position - low).to(images.dtype)
    if axis == -2:
        part = part[:, None]
    return torch.lerp(images.index_select(axis, low), images.index_select(axis, high), part)
