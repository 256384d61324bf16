"""Where frames meet: a mixer at every place of the clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import Mixer
from vdmbench.mixers.identity import Identity
from vdmbench.networks.mixer_layer import MixerLayer
from vdmbench.networks.norms import ChannelNorm, channel_norm
from vdmbench.networks.streaming import Carry
from vdmbench.ops.recompute import recomputed


class TemporalLayer(MixerLayer):
    """x + gain mixer(norm(x)) over the frames of each place; with the mixer ``identity`` nothing: x."""

    crosses_frames = True

    def __init__(self, channels: int, mixer: Callable[[int], Mixer], *, initial_gain: float | None = None) -> None:
        super().__init__(mixer(channels), initial_gain=initial_gain)
        self.norm = None if isinstance(self.mixer, Identity) else ChannelNorm(channels)

    def forward(
        self, x: Float[Tensor, "images channels height width"], frames: int, carry: Carry | None = None
    ) -> Float[Tensor, "images channels height width"]:
        """``images`` is batch times ``frames``, a clip's frames next to each other; with ``carry`` a chunk's."""
        if self.norm is None:
            return x
        height, width = x.shape[-2:]
        sites = recomputed(partial(_sites, frames), x, self.norm.gain)
        mixed = self.mixed(sites, carry).unflatten(0, (-1, height, width))
        return x + mixed.permute(0, 3, 1, 2, 4).flatten(0, 1).permute(0, 3, 1, 2)


def _sites(frames: int, x: Tensor, gain: Tensor) -> Tensor:
    """Normed, and each place's frames next to each other: (batch height width, frames, channels)."""
    clip = channel_norm(x.permute(0, 2, 3, 1), gain).unflatten(0, (-1, frames))  # (batch, frames, height, width, channels)
    return clip.permute(0, 2, 3, 1, 4).flatten(0, 2)
