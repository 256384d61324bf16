"""The two norms of the factorised UNet, on frames folded into the batch and channels last in memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.ops import group_norm_silu
from vdmbench.ops.recompute import recomputed

EPSILON = 1e-5
MOST_GROUPS = 8


def channel_norm(x: Float[Tensor, "*places channels"], gain: Float[Tensor, " channels"]) -> Float[Tensor, "*places channels"]:
    """See :class:`ChannelNorm`."""
    return F.layer_norm(x, gain.shape, gain, None, EPSILON)


class ChannelNorm(nn.Module):
    """Layer norm over the last axis with a gain and no bias (Ba et al. 2016, arXiv 1607.06450, eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "*places channels"]) -> Float[Tensor, "*places channels"]:
        return recomputed(channel_norm, x, self.gain)


class GroupNormSiLU(nn.Module):
    """Group norm (Wu and He 2018, arXiv 1803.08494, eq. 1-3), then SiLU; statistics are a frame's own or pooled over a clip's.

    Between the two, where ``film`` is given, feature-wise scale and shift (FiLM: Perez et al. 2018, arXiv 1709.07871, eq. 1),
    scale as 1 + s. Pooled statistics, as published, carry information between all frames of a clip outside the temporal
    layers: with them no network is causal, whatever its mixer.

    Groups follow the width: 8, as published, where 8 divides it, else as many of fewer as do. So a narrow network can be
    widened by less than 8 channels.
    """

    def __init__(self, channels: int, *, pool_frames: bool = False) -> None:
        super().__init__()
        self.groups = max(groups for groups in range(1, MOST_GROUPS + 1) if channels % groups == 0)
        self.pool_frames = pool_frames
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self,
        x: Float[Tensor, "images channels height width"],
        frames: int,
        film: Float[Tensor, "batch_or_images two_channels"] | None = None,
        residual: Float[Tensor, "images channels height width"] | None = None,
        *,
        keep: bool = False,
    ) -> Float[Tensor, "images channels height width"]:
        """``images`` is batch times ``frames``, a clip's frames next to each other; ``film`` is scale, then shift, of each clip
        or image; ``residual`` is added behind the SiLU. The result is made again in the backward pass, unless ``keep``."""
        pooled = frames if self.pool_frames else 1
        return group_norm_silu(x, self.weight, self.bias, film, residual, groups=self.groups, pooled=pooled, keep=keep)
