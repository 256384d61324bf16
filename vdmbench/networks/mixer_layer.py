"""A place in a network where a mixer stands, whatever the network does around it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import Mixer
from vdmbench.mixers.identity import Identity
from vdmbench.networks.streaming import Carry


class MixerLayer(nn.Module):
    """Hands sequences to its mixer, and scales what comes back by a learnt gain where it has one.

    Args:
        initial_gain: what root mean square the scaled output has at the start, for inputs whose own is 1
            (:func:`~vdmbench.networks.initial_gains.set_gains` sees to it; until then the gain is 1). None: no gain; the mixer
            ``identity`` never has one.

    Attributes:
        mixer: called once in a forward pass, with all sequences of the batch folded into one axis.
        crosses_frames: whether a sequence holds more than one frame; such layers are the network's temporal layers.
        gain: one number, or None.
    """

    crosses_frames: bool
    gain: nn.Parameter | None

    def __init__(self, mixer: Mixer, *, initial_gain: float | None) -> None:
        super().__init__()
        if initial_gain is not None and initial_gain <= 0:
            raise ValueError(f"initial_gain must be positive, or None for no gain, got {initial_gain}")
        self.mixer = mixer
        self.initial_gain = 1.0 if initial_gain is None else initial_gain
        has_gain = initial_gain is not None and not isinstance(mixer, Identity)
        # A vector of one, for sharding takes no scalar.
        self.register_parameter("gain", nn.Parameter(torch.ones(1)) if has_gain else None)

    def mixed(
        self, x: Float[Tensor, "sequences length channels"], carry: Carry | None
    ) -> Float[Tensor, "sequences length channels"]:
        """The mixer's output, scaled: of whole sequences; or, where they cross frames and ``carry`` is given, of a chunk of
        frames that goes on where it says."""
        mixed = self.mixer(x) if carry is None or not self.crosses_frames else carry.mixed(self.mixer, x)
        return mixed if self.gain is None else self.gain.to(mixed.dtype) * mixed

    def needs_whole_clips(self) -> str | None:
        """Why frames cannot come in chunks here, and what to do for it; None where they can."""
        if self.crosses_frames and not self.mixer.causal:
            return (
                f"its mixer, {type(self.mixer).__name__}, sees the future: make it causal (causal: true, or direction: "
                "forward), or take another"
            )
        return None
