"""Real clips broken on purpose: a metric that does not see the damage says nothing about what was damaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.metrics.luma import LUMA

Clips = UInt8[Tensor, "batch frames channels height width"]
Control = Callable[[Clips, torch.Generator], Clips]
VERSION = 2  # raised where a control of the same name breaks clips in another way
NOISE = 0.02  # standard deviation as a part of the value range
HUE = 0.04  # standard deviation of the offsets of red and of blue
CHECKER = 0.02  # amplitude of the pattern
BLUR = 1.0  # standard deviation in pixels


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


def slow(clips: Clips, generator: torch.Generator) -> Clips:
    """Every other frame held: motion at half the rate of frames."""
    return clips[:, torch.arange(clips.shape[1], device=clips.device) // 2 * 2]


def noise(clips: Clips, generator: torch.Generator) -> Clips:
    """Gaussian noise of 2 % of the range, independent for each pixel and frame."""
    grain = torch.randn(clips.shape, generator=generator).to(clips.device) * (255 * NOISE)
    return _quantised(clips.float() + grain)


def hue(clips: Clips, generator: torch.Generator) -> Clips:
    """Another colour cast in every frame: red and blue are offset by 4 % of the range, green so that luma stays."""
    batch, frames = clips.shape[:2]
    red, blue = torch.randn(2, batch, frames, generator=generator) * (255 * HUE)
    green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
    cast = torch.stack([red, green, blue], dim=2)[..., None, None].to(clips.device)
    return _quantised(clips.float() + cast)


def checker(clips: Clips, generator: torch.Generator) -> Clips:
    """A still checkerboard of single pixels over all frames, 2 % of the range up and down."""
    rows, columns = (torch.arange(side, device=clips.device) for side in clips.shape[-2:])
    board = 1 - 2 * ((rows[:, None] + columns) % 2)
    return _quantised(clips.float() + 255 * CHECKER * board)


def blur(clips: Clips, generator: torch.Generator) -> Clips:
    """Each frame blurred by a Gaussian of 1 pixel."""
    reach = torch.arange(-3, 4, device=clips.device)
    kernel = torch.exp(-0.5 * (reach / BLUR) ** 2)
    kernel = kernel / kernel.sum()
    planes = F.pad(clips.flatten(0, 2)[:, None].float(), (3, 3, 3, 3), mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 7, 1)), kernel.view(1, 1, 1, 7))
    return _quantised(planes.view(clips.shape))


def collapse(clips: Clips, generator: torch.Generator) -> Clips:
    """One of the clips, again and again."""
    chosen = int(torch.randint(len(clips), (1,), generator=generator))
    return clips[chosen : chosen + 1].expand_as(clips).contiguous()


def _quantised(video: Tensor) -> Clips:
    return video.round().clamp(0, 255).to(torch.uint8)


EACH_CLIP: dict[str, Control] = {
    "shuffled": shuffled,
    "frozen": frozen,
    "reversed": reversed_time,
    "slow": slow,
    "noise": noise,
    "hue": hue,
    "checker": checker,
    "blur": blur,
}
"""What breaks each clip by itself, whatever others are beside it: features of the broken clips must be measured."""

CONTROLS: dict[str, Control] = {**EACH_CLIP, "collapse": collapse}
"""All of them. Of ``collapse`` the features are known before: they are those of a whole clip."""
