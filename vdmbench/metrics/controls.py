"""Real clips broken on purpose: a metric that does not see the damage says nothing about what was damaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor

Clips = UInt8[Tensor, "batch frames channels height width"]
NOISE = 0.02  # standard deviation as a part of the value range


def shuffled(clips: Clips, generator: torch.Generator) -> Clips:
    """Frames in random order, another one for each clip: every frame is real, time is not."""
    orders = torch.stack([torch.randperm(clips.shape[1], generator=generator) for _ in clips]).to(clips.device)
    return clips[torch.arange(len(clips), device=clips.device)[:, None], orders]


def frozen(clips: Clips, generator: torch.Generator) -> Clips:
    """The first frame held for the whole clip."""
    return clips[:, :1].expand_as(clips).contiguous()


def reversed_time(clips: Clips, generator: torch.Generator) -> Clips:
    """Frames in reverse: only the arrow of time is wrong."""
    return clips.flip(1)


def noise(clips: Clips, generator: torch.Generator) -> Clips:
    """Gaussian noise of 2 % of the range, independent for each pixel and frame."""
    grain = torch.randn(clips.shape, generator=generator).to(clips.device) * (255 * NOISE)
    return (clips.float() + grain).round().clamp(0, 255).to(torch.uint8)


CONTROLS: dict[str, Callable[[Clips, torch.Generator], Clips]] = {
    "shuffled": shuffled,
    "frozen": frozen,
    "reversed": reversed_time,
    "noise": noise,
}
