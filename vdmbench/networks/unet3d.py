"""The space-time factorised UNet: frames are images to every layer but the temporal ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.mixers import Mixer
from vdmbench.mixers.making import MakeMixer
from vdmbench.networks.condition import Condition
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.placement import BlockPlacement, Placement, placed
from vdmbench.networks.resblock import ResBlock
from vdmbench.networks.shared_positions import SharedPositions
from vdmbench.networks.spatial_attention import SpatialAttention
from vdmbench.networks.streaming import Carry, Stream
from vdmbench.networks.temporal_layer import TemporalLayer
from vdmbench.networks.time_embedding import TimeEmbedding
from vdmbench.ops.recompute import recomputed
from vdmbench.suite.options.published import CHANNELS_PER_HEAD


class Level(nn.Module):
    """Two residual blocks, linear attention over places, a temporal layer."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        mixer: Callable[[int], Mixer],
        heads: int,
        embedding: int,
        pool_frames: bool,
        initial_gain: float | None,
    ) -> None:
        super().__init__()
        self.block1 = ResBlock(inputs, outputs, embedding=embedding, pool_frames=pool_frames)
        self.block2 = ResBlock(outputs, outputs, embedding=embedding, pool_frames=pool_frames)
        self.spatial = SpatialAttention(outputs, heads=heads, linear=True)
        self.temporal = TemporalLayer(outputs, mixer, initial_gain=initial_gain)

    def forward(self, x: Tensor, frames: int, embedding: Tensor, carry: Carry | None) -> Tensor:
        x = self.block2(self.block1(x, frames, embedding), frames, embedding)
        return self.temporal(self.spatial(x), frames, carry)


class Middle(nn.Module):
    """Residual block, full attention over places, a temporal layer, residual block."""

    def __init__(
        self,
        channels: int,
        *,
        mixer: Callable[[int], Mixer],
        heads: int,
        embedding: int,
        pool_frames: bool,
        initial_gain: float | None,
    ) -> None:
        super().__init__()
        self.block1 = ResBlock(channels, channels, embedding=embedding, pool_frames=pool_frames)
        self.spatial = SpatialAttention(channels, heads=heads, linear=False)
        self.temporal = TemporalLayer(channels, mixer, initial_gain=initial_gain)
        self.block2 = ResBlock(channels, channels, embedding=embedding, pool_frames=pool_frames)

    def forward(self, x: Tensor, frames: int, embedding: Tensor, carry: Carry | None) -> Tensor:
        x = self.spatial(self.block1(x, frames, embedding))
        return self.block2(self.temporal(x, frames, carry), frames, embedding)


class UNet3D(Denoiser):
    """UNet of Ho et al. 2022 (arXiv 2204.03458, sec. 3) in the form of Oshima et al. 2024 (arXiv 2403.07711), any mixer inside.

    Frames are folded into the batch and convolved in two dimensions, channels last in memory; a mixer sees the frames of
    one place. It takes any number of frames.

    Args:
        mixer: makes the mixer of a temporal layer from its number of channels; or a placement of several makers.
        base_channels: channels of the first level; even, and a multiple of 8 with preset oshima2024.
        multipliers: channels of each level over ``base_channels``; height and width halve from level to level.
        channels: image channels.
        preset: ``fair``: frames meet in the temporal layers alone, and every layer has position encodings of its own.
            ``oshima2024``: as published, to the parameter: group norms pool their statistics over the frames, and one
            relative-bias table (kept, unused, under every mixer) and one set of rotary frequencies serve all layers.
        initial_gain: size at which every temporal branch starts, by a learnt gain behind its mixer; None for no gain,
            which ``oshima2024``, as published, never has.

    Raises:
        ValueError: sizes that do not fit, or an unknown preset.
    """

    def __init__(
        self,
        *,
        mixer: MakeMixer | Placement | BlockPlacement,
        base_channels: int = 32,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        channels: int = 3,
        preset: Literal["fair", "oshima2024"] = "fair",
        initial_gain: float | None = None,
    ) -> None:
        super().__init__()
        unit = 8 if preset == "oshima2024" else 2
        if base_channels < 8 or base_channels % unit:
            why = "8 groups in each group norm" if unit == 8 else "sines and cosines of the diffusion time"
            raise ValueError(f"base_channels must be a multiple of {unit} ({why}) and at least 8, got {base_channels}")
        if not multipliers or min(multipliers) < 1 or channels < 1:
            raise ValueError(f"multipliers and channels must be positive, got {tuple(multipliers)} and {channels}")
        if preset not in ("fair", "oshima2024"):
            raise ValueError(f"preset must be 'fair' or 'oshima2024', got '{preset}'")
        self.channels = channels
        pool_frames = preset == "oshima2024"
        initial_gain = None if pool_frames else initial_gain
        heads = base_channels // CHANNELS_PER_HEAD
        widths = [base_channels * multiplier for multiplier in multipliers]
        inputs = [base_channels, *widths[:-1]]

        self.time_embedding = TimeEmbedding(base_channels)
        self.condition_width = embedding = self.time_embedding.width
        places = placed(mixer, len(widths))
        level = partial(Level, heads=heads, embedding=embedding, pool_frames=pool_frames, initial_gain=initial_gain)
        levels = list(zip(inputs, widths, places.levels, strict=True))
        self.stem = nn.Conv2d(channels, base_channels, 7, padding=3)
        self.stem_temporal = TemporalLayer(base_channels, places.stem, initial_gain=initial_gain)
        self.down = nn.ModuleList(level(i, o, mixer=mixer) for i, o, mixer in levels)
        self.downsample = nn.ModuleList(nn.Conv2d(width, width, 4, stride=2, padding=1) for width in widths[:-1])
        self.middle = Middle(
            widths[-1],
            mixer=places.middle,
            heads=heads,
            embedding=embedding,
            pool_frames=pool_frames,
            initial_gain=initial_gain,
        )
        self.up = nn.ModuleList(level(2 * o, i, mixer=mixer) for i, o, mixer in reversed(levels))
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(width, width, 4, stride=2, padding=1) for width in inputs[:0:-1])
        self.head_block = ResBlock(2 * base_channels, base_channels, embedding=None, pool_frames=pool_frames)
        self.head = nn.Conv2d(base_channels, channels, 1)
        self.positions = SharedPositions(heads, self.temporal_layers().values()) if preset == "oshima2024" else None

    def forward(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        condition: Condition | None = None,
        carry: Carry | None = None,
    ) -> Float[Tensor, "batch frames channels height width"]:
        """As every denoiser's; tokens of a condition are not attended to."""
        self.check(x, t, condition)
        frames = x.shape[1]
        embedding = self.time_embedding(t)
        if condition is not None:
            embedding = condition.added_to(embedding)
        embedding = F.silu(embedding.flatten(0, -2))  # (batch, width), or (images, width) where frames have their own
        h = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)  # (images = batch frames, channels, height, width)
        h = stem = self.stem_temporal(self.stem(h), frames, carry)
        skips = []
        for index, level in enumerate(self.down):
            h = level(h, frames, embedding, carry)
            skips.append(h)
            if index < len(self.downsample):
                h = self.downsample[index](h)
        h = self.middle(h, frames, embedding, carry)
        for index, level in enumerate(self.up):
            h = level(recomputed(_beside, h, skips.pop()), frames, embedding, carry)
            if index < len(self.upsample):
                h = self.upsample[index](h)
        h = self.head_block(recomputed(_beside, h, stem), frames)
        return self.head(h).unflatten(0, (-1, frames)).contiguous()

    def initial_stream(self, batch: int, height: int, width: int) -> Stream:
        if self.positions is not None:
            raise ValueError(
                "frames cannot come in chunks: preset 'oshima2024' pools the statistics of group norms over all frames of a "
                "clip; use preset 'fair'"
            )
        return super().initial_stream(batch, height, width)

    def check(self, x: Tensor, t: Tensor, condition: Condition | None) -> None:
        super().check(x, t, condition)
        if condition is not None and condition.tokens is not None:
            raise ValueError(
                "unet3d has no cross-attention for the condition's tokens: hand their mean over as vector, or use network dit "
                "with cross_attention: true"
            )
        factor = 2 ** len(self.downsample)
        if x.shape[3] % factor or x.shape[4] % factor:
            raise ValueError(
                f"height and width must be multiples of {factor}, one halving for each level after the first, "
                f"got {x.shape[3]} x {x.shape[4]}"
            )


def _beside(h: Tensor, skip: Tensor) -> Tensor:
    return torch.cat([h, skip], 1)
