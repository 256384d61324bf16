"""Temporal mixers: the layers that carry information between frames, one concept a file."""

from vdmbench.mixers.mixer import Mixer as Mixer
