"""A place in a network where a mixer stands, whatever the network does around it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import Mixer
from vdmbench.networks.streaming import Carry


class MixerLayer(nn.Module):
    """Hands sequences to its mixer.

    Attributes:
        mixer: called once in a forward pass, with all sequences of the batch folded into one axis.
        crosses_frames: whether a sequence holds more than one frame; such layers are the network's temporal layers.
    """

    mixer: Mixer
    crosses_frames: bool

    def mixed(
        self, x: Float[Tensor, "sequences length channels"], carry: Carry | None
    ) -> Float[Tensor, "sequences length channels"]:
        """The mixer's output: of whole sequences; or, where they cross frames and ``carry`` is given, of a chunk of frames that
        goes on where it says."""
        return self.mixer(x) if carry is None or not self.crosses_frames else carry.mixed(self.mixer, x)

    def needs_whole_clips(self) -> str | None:
        """Why frames cannot come in chunks here, and what to do for it; None where they can."""
        if self.crosses_frames and not self.mixer.causal:
            return (
                f"its mixer, {type(self.mixer).__name__}, sees the future: make it causal (causal: true, or direction: "
                "forward), or take another"
            )
        return None
