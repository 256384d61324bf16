"""The metrics that a suite names, built from their declared options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vdmbench.home import expanded
from vdmbench.metrics.i3d.network import MINIMUM_FRAMES as I3D_MINIMUM_FRAMES
from vdmbench.metrics.protocol import FVD_PRESETS, STE, InvalidProtocol, Protocol, WindowRule
from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy
from vdmbench.metrics.video_distance import VideoDistance


def ste_fd(
    *,
    frames: int | None = None,
    stride: int = 1,
    window: WindowRule = "whole",
    bootstrap: int = 200,
    confidence: float = 0.95,
    control_clips: int = 64,
    seed: int = 0,
) -> VideoDistance:
    """Fréchet distance on spatio-temporal-energy features, standardised by the reference. Not FVD; needs no download."""
    protocol = ste_protocol(frames=frames, stride=stride, window=window)
    return VideoDistance(
        SpatioTemporalEnergy(), protocol, bootstrap=bootstrap, confidence=confidence, control_clips=control_clips, seed=seed
    )


def ste_protocol(*, frames: int | None = None, stride: int = 1, window: WindowRule = "whole") -> Protocol:
    """Spatio-temporal energy of clips that are cut so."""
    return replace(STE, frames=frames, stride=stride, window=window)


def fvd(
    *,
    protocol: str = "standard",
    frames: int | None = None,
    window: WindowRule | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    weights: str | Path | None = None,
    bootstrap: int = 200,
    confidence: float = 0.95,
    control_clips: int = 64,
    seed: int = 0,
) -> VideoDistance:
    """Fréchet video distance on the I3D that it is defined on, under a named protocol.

    The weights are found or fetched here. Raises :class:`~vdmbench.metrics.archive.WeightsError` where they cannot be had and
    :class:`InvalidProtocol` where a preset that fixes its frames is asked for others.
    """
    from vdmbench.metrics.i3d.features import I3DFeatures

    declared = fvd_protocol(protocol, frames=frames, window=window, precision=precision)
    extractor = I3DFeatures(
        weights=None if weights is None else expanded(weights),
        resize=declared.resize or "half-pixel",
        value_range=declared.value_range,
        precision=precision,
    )
    return VideoDistance(
        extractor,
        replace(declared, weights=extractor.weights_digest),
        bootstrap=bootstrap,
        confidence=confidence,
        control_clips=control_clips,
        seed=seed,
    )


def fvd_protocol(
    name: str,
    *,
    frames: int | None = None,
    window: WindowRule | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> Protocol:
    """The preset ``name``, with the frames and window rule that it leaves open."""
    if name not in FVD_PRESETS:
        raise InvalidProtocol(f"unknown FVD protocol '{name}', known: {', '.join(FVD_PRESETS)}")
    preset = FVD_PRESETS[name]
    if preset.frames is not None and (frames, window) != (None, None):
        raise InvalidProtocol(
            f"protocol '{name}' fixes {preset.frames} frames and window '{preset.window}': leave them out, "
            "or declare 'standard'"
        )
    if preset.frames is None:
        preset = replace(preset, frames=frames, window=window or "whole")
    return replace(preset, precision=precision)


_PROTOCOLS: dict[str, tuple[Callable[..., Protocol], tuple[str, ...], int]] = {
    "ste-fd": (ste_protocol, ("frames", "stride", "window"), SpatioTemporalEnergy.minimum_frames),
    "fvd": (lambda protocol, **cut: fvd_protocol(protocol, **cut), ("protocol", "frames", "window"), I3D_MINIMUM_FRAMES),
}


def declared_windows(declared: Mapping[str, Any]) -> tuple[Protocol, int] | None:
    """How a metric of these declared options cuts clips, and the fewest frames that its extractor takes, without loading its
    weights; null for a metric that cuts none."""
    if declared["name"] not in _PROTOCOLS:
        return None
    make, options, fewest = _PROTOCOLS[declared["name"]]
    return make(**{option: declared[option] for option in options}), fewest
