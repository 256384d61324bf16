"""What every denoiser is, whatever its backbone."""

from __future__ import annotations

from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.mixers import Mixer
from vdmbench.networks.flops import count_flops
from vdmbench.networks.temporal_layer import TemporalLayer


class Denoiser(nn.Module):
    """Predicts, from a noisy clip and its diffusion time, a clip of the same shape; its frames meet in temporal layers.

    A denoiser is built as ``Cls(*, mixer, <options>)``, where ``mixer`` makes the mixer of a temporal layer from its number of
    channels (or is a :class:`~vdmbench.networks.placement.Placement`, where its option model states its ``levels``) and the
    options have the names of its option model in ``vdmbench.suite.options.networks``.

    Attributes:
        channels: image channels.
    """

    channels: int

    def forward(
        self, x: Float[Tensor, "batch frames channels height width"], t: Num[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames channels height width"]:
        """Prediction for the noisy clip ``x`` at diffusion time ``t``, integer steps or real numbers."""
        raise NotImplementedError

    def temporal_layers(self) -> dict[str, Mixer]:
        """The mixer of each temporal layer, by the layer's path in the network."""
        return {path: layer.mixer for path, layer in self.named_modules() if isinstance(layer, TemporalLayer)}

    def flops(self, frames: int, height: int, width: int) -> int:
        """Forward FLOPs of one clip; see :func:`vdmbench.networks.flops.count_flops`."""
        count = count_flops(self, self.channels, frames, height, width)
        return count.spatial + sum(count.temporal.values())
