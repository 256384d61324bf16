"""What counts as video for a metric: uint8, or floats whose range is declared; everything else is refused."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

ValueRange = Literal["uint8", "unit", "symmetric"]


class InvalidVideo(ValueError):
    """Videos that no metric can take; the message says what was found and what to pass instead."""


def check_uint8(videos: object) -> UInt8[Tensor, "batch frames channels height width"]:
    """Return ``videos`` where they are uint8 (batch frames 3 height width), raise :class:`InvalidVideo` otherwise."""
    if not isinstance(videos, Tensor):
        raise InvalidVideo(f"videos must be a torch tensor, got {type(videos).__name__}: use torch.from_numpy")
    if videos.dtype != torch.uint8:
        raise InvalidVideo(
            f"videos must be uint8, got {str(videos.dtype).removeprefix('torch.')}: declare the range of float "
            "video with quantise(videos, 'unit') or quantise(videos, 'symmetric')"
        )
    if videos.ndim != 5 or videos.shape[2] != 3:
        raise InvalidVideo(f"videos must be (batch frames 3 height width), got {tuple(videos.shape)}")
    if videos.numel() == 0:
        raise InvalidVideo(f"videos hold nothing, their shape is {tuple(videos.shape)}")
    return videos


def quantise(videos: Tensor, value_range: ValueRange = "uint8") -> UInt8[Tensor, "*video"]:
    """Round videos to the 256 levels that stored video has, so that both sides of a distance are quantised alike.

    ``value_range`` is what the caller *declares*: "uint8" (0 to 255, passed through), "unit" (floats in [0, 1]) or
    "symmetric" (floats in [-1, 1]). A range is never guessed, since a wrong one changes a distance by its half. Values
    outside the declared range, NaN and infinities raise :class:`InvalidVideo`.
    """
    if value_range == "uint8":
        if videos.dtype != torch.uint8:
            raise InvalidVideo(
                f"videos are {str(videos.dtype).removeprefix('torch.')} but declared uint8: "
                "declare 'unit' for [0, 1] or 'symmetric' for [-1, 1]"
            )
        return videos
    if not videos.is_floating_point():
        raise InvalidVideo(
            f"videos are {str(videos.dtype).removeprefix('torch.')} but declared '{value_range}': "
            "only floats have a declared range"
        )
    low = 0.0 if value_range == "unit" else -1.0
    if not torch.isfinite(videos).all():
        raise InvalidVideo("videos hold NaN or infinite values: the sampler that made them diverged")
    lowest, highest = float(videos.min()), float(videos.max())
    if lowest < low - 1e-3 or highest > 1 + 1e-3:
        raise InvalidVideo(
            f"videos run from {lowest:.4g} to {highest:.4g} but '{value_range}' means [{low:g}, 1]: clip or rescale them"
        )
    levels = (videos.float() - low) * (255 / (1 - low))
    return levels.round().clamp(0, 255).to(torch.uint8)
