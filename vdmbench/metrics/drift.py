"""The distance along a long video: a fault at the end is not averaged away by a good start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vdmbench.metrics.extractor import ClipFeatures
from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.reference import Reference


def drift_curve(
    protocol: Protocol, reference: Reference, generated: ClipFeatures, standard: Callable[[Tensor], Tensor]
) -> list[dict[str, Any]]:
    """Distance of the generated windows at each position to all real windows, with the same for held-out real windows.

    ``standard`` is what the protocol does to features. Every position is judged against the same reference, all real
    windows: a video that stays itself gives a level line, about the height of what real video gets. Positions with fewer than
    two windows on either side are left out.
    """

    def fit(features: Tensor) -> Gaussian:
        return Gaussian.fit(standard(features), protocol.divisor)

    real = fit(reference.real.features)
    step = (protocol.frames or generated.frames) * protocol.stride
    positions, held_positions = position_in_video(generated), position_in_video(reference.held_out)
    curve = []
    for position in positions.unique().tolist():
        fake = generated.features[positions == position]
        held_out = reference.held_out.features[held_positions == position][: len(fake)]
        if min(len(fake), len(held_out)) < 2:
            continue
        curve.append(
            {
                "frame": position * step,
                "n": len(fake),
                "value": float(frechet_distance(real, fit(fake))),
                "floor": float(frechet_distance(real, fit(held_out))),
                "floor_n": len(held_out),
            }
        )
    return curve


def position_in_video(clips: ClipFeatures) -> Tensor:
    """Index of each row's window within its clip; rows of a clip follow each other."""
    numbers = (clips.videos if clips.clips is None else clips.clips).contiguous()
    return torch.arange(len(clips)) - torch.searchsorted(numbers, numbers)
