"""A token mixer over the places and frames of a clip, in a declared scan order."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers.making import MakeMixer
from vdmbench.networks.mixer_layer import MixerLayer
from vdmbench.networks.scan_orders import ScanOrder
from vdmbench.networks.streaming import Carry


class ScannedMixer(MixerLayer):
    """The mixer on the clip's tokens as ``scan`` orders them; norm and residual are the block's.

    Raises:
        ValueError: no scan order has the name.
    """

    def __init__(self, channels: int, mixer: MakeMixer, scan: str, *, initial_gain: float | None = None) -> None:
        order = ScanOrder(scan)
        super().__init__(mixer(channels), initial_gain=initial_gain)
        self.order, self.crosses_frames = order, order.crosses_frames

    def forward(
        self, x: Float[Tensor, "batch frames height width channels"], carry: Carry | None = None
    ) -> Float[Tensor, "batch frames height width channels"]:
        """``carry`` makes the frames a chunk of a longer clip."""
        return self.order.restore(self.mixed(self.order.arrange(x), carry), *x.shape[1:4])

    def needs_whole_clips(self) -> str | None:
        if self.crosses_frames and self.order.name != "site":
            return f"scan '{self.order.name}' reads whole clips: use scan 'site' with a causal mixer, or 'frame'"
        return super().needs_whole_clips()
