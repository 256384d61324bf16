"""A place in a network where a mixer stands, whatever the network does around it."""

from __future__ import annotations

from torch import nn

from vdmbench.mixers import Mixer


class MixerLayer(nn.Module):
    """Hands sequences to its mixer.

    Attributes:
        mixer: called once in a forward pass, with all sequences of the batch folded into one axis.
        crosses_frames: whether a sequence holds more than one frame; such layers are the network's temporal layers.
    """

    mixer: Mixer
    crosses_frames: bool
