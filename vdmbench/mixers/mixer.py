"""What every temporal mixer is: a map from frames to frames at one spatial site, and what it costs."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

GRANULARITY = 8
"""Inner widths are multiples of this: half-precision matrix products and fused attention kernels want aligned rows."""


class Mixer(nn.Module):
    """Mixes frames at each spatial site; the network folds the sites into the batch.

    A mixer is built as ``Cls(channels, *, <options>)``, where the options have the names of its option model in
    ``vdmbench.suite.options.mixers``. Its output has the shape and dtype of its input, for any number of frames, and no
    element of the batch sees another. Residual connection and normalisation belong to the network.

    Attributes:
        channels: width of input and output.
        causal: output frame t depends on input frames 0..t alone. What such a mixer must remember between frames is
            counted by :meth:`state_size`.
        inner_width: features that it mixes over frames; the knob ``expand`` moves it.
    """

    causal: bool
    inner_width: int

    def __init__(self, channels: int, *, causal: bool) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"a mixer needs at least 1 channel, got {channels}")
        self.channels = channels
        self.causal = causal

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        raise NotImplementedError

    def state_size(self, frames: int) -> int:
        """Real numbers kept per site after ``frames`` frames: recurrent state, or a cache where there is no state."""
        raise NotImplementedError

    def flops(self, frames: int) -> int:
        """Forward FLOPs per site, by the conventions of :mod:`vdmbench.mixers.flops`."""
        raise NotImplementedError


def inner_width(channels: int, expand: float) -> int:
    """The multiple of :data:`GRANULARITY` nearest to ``expand * channels``, and at least one of it."""
    if expand <= 0:
        raise ValueError(f"expand must be positive, got {expand}")
    return max(1, int(expand * channels / GRANULARITY + 0.5)) * GRANULARITY
