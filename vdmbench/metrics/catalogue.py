"""The metrics that a suite names, built from their declared options."""

from __future__ import annotations

from dataclasses import replace

from vdmbench.metrics.protocol import STE, WindowRule
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
    protocol = replace(STE, frames=frames, stride=stride, window=window)
    return VideoDistance(SpatioTemporalEnergy(), protocol, bootstrap=bootstrap, confidence=confidence,
                         control_clips=control_clips, seed=seed)
