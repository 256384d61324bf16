"""The two norms of the factorised UNet, on frames folded into the batch and channels last in memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EPSILON = 1e-5


class ChannelNorm(nn.Module):
    """Layer norm over the last axis with a gain and no bias (Ba et al. 2016, arXiv 1607.06450, eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "*places channels"]) -> Float[Tensor, "*places channels"]:
        return F.layer_norm(x, self.gain.shape, self.gain, None, EPSILON)


class GroupNorm(nn.Module):
    """Group norm (Wu and He 2018, arXiv 1803.08494, eq. 1-3), its statistics a frame's own or pooled over a clip's frames.

    Pooled statistics, as published, carry information between all frames of a clip outside the temporal layers: with
    them no network is causal, whatever its mixer.

    Raises:
        ValueError: the groups do not divide the channels.
    """

    def __init__(self, channels: int, *, groups: int = 8, pool_frames: bool = False) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"group norm needs channels that are a multiple of {groups}, got {channels}")
        self.groups, self.pool_frames = groups, pool_frames
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, x: Float[Tensor, "images channels height width"], frames: int
    ) -> Float[Tensor, "images channels height width"]:
        """``images`` is batch times ``frames``, a clip's frames next to each other."""
        if not self.pool_frames:
            return F.group_norm(x, self.groups, self.weight, self.bias, EPSILON)
        # With channels last, a clip's frames lie in memory as one tall image: stacking them moves nothing.
        tall = x.permute(0, 2, 3, 1).unflatten(0, (-1, frames)).flatten(1, 2).permute(0, 3, 1, 2)
        normed = F.group_norm(tall, self.groups, self.weight, self.bias, EPSILON)
        return normed.permute(0, 2, 3, 1).unflatten(1, (frames, -1)).flatten(0, 1).permute(0, 3, 1, 2)
