"""Sampling at another length than training: which networks have learned what that takes."""

from __future__ import annotations

from collections.abc import Iterator

from vdmbench.matching.cost import built_on_meta, sequence_lengths
from vdmbench.matching.resolve import Resolved
from vdmbench.mixers import Mixer
from vdmbench.mixers.relative_bias import RelativeBias


def refuse_untrained_length(resolved: Resolved) -> None:
    """Raise ValueError where sampled clips read positions that trained ones never reach: entries of a relative bias for
    distances beyond. Rotations, sinusoids, scans, convolutions and windows are defined, and the same, at any length."""
    data, sampled = resolved.inputs.data, resolved.inputs.sampled_frames
    if sampled == data.frames:
        return
    trained_on, asked_for = (
        sequence_lengths(resolved.network, resolved.mixer, frames=frames, size=resolved.inputs.denoised_size)
        for frames in (data.frames, sampled)
    )
    layers = built_on_meta(resolved.network, resolved.mixer).mixer_layers()
    for path, layer in layers.items():
        for bias in _biases(layer.mixer):
            if not bias.covers(asked_for[path], trained=trained_on[path]):
                raise ValueError(
                    f"sample.frames is {sampled} and data.frames {data.frames}: the relative bias of {path} has entries for "
                    f"longer distances that training never reaches; set relative_bias: false (rotary positions go on), or "
                    f"data.frames: {sampled}"
                )


def _biases(mixer: Mixer) -> Iterator[RelativeBias]:
    """Its own, those of mixers inside it, and one that preset oshima2024 shares, which a mixer holds as a bound call."""
    for module in mixer.modules():
        own = getattr(module, "relative_bias", None)
        owner = getattr(own, "__self__", own)
        if isinstance(owner, RelativeBias):
            yield owner
