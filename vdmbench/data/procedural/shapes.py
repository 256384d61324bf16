"""One flat shape of one colour on a flat ground, moving straight and bouncing: the plainest video; faults in time are plain.

A sound clip has two colours, and keeps them; its shape keeps its size, and goes the same way until it meets a wall. A network
that learns little about frames learns this first.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from vdmbench.data.procedural.motion import bounced, heading
from vdmbench.data.procedural.outlines import cross, disc, square
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.procedural.words import an, colour_name
from vdmbench.data.source import DataError, Description, Split

OUTLINES = {"disc": disc, "square": square, "cross": cross}


class Shapes(ProceduralSource):
    """A disc, a square or a cross; lengths are in units of the frame's side, so ``size`` only sets the sharpness.

    Args:
        split, frames, size, seed, train_videos, test_videos, video_frames: as in
            :class:`vdmbench.data.procedural.source.ProceduralSource`.
        speed: sides of the frame that the fastest shape crosses per frame; the slowest is half as fast.
    """

    version = 1

    def __init__(
        self,
        *,
        split: Split,
        frames: int,
        size: int,
        seed: int = 0,
        train_videos: int = 10_000,
        test_videos: int = 2_048,
        video_frames: int | None = None,
        speed: float = 0.05,
    ) -> None:
        super().__init__(
            split=split,
            frames=frames,
            size=size,
            seed=seed,
            train_videos=train_videos,
            test_videos=test_videos,
            video_frames=video_frames,
        )
        if not 0 < speed <= 0.5:
            raise DataError(f"speed lies in (0, 0.5], got speed={speed}")
        self.speed = speed

    def _options(self) -> Mapping[str, Any]:
        return {"speed": self.speed}

    @property
    def labels(self) -> tuple[str, ...]:
        """The outline."""
        return tuple(sorted(OUTLINES))

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        outline, radius, place, velocity, colour, ground = self._scene(index)
        centre = bounced(place, velocity, radius, np.arange(start, start + frames))
        middles = (np.arange(self.size) + 0.5) / self.size
        right = ((middles[None, None, :] - centre[0][:, None, None]) / radius).astype(np.float32)
        down = ((middles[None, :, None] - centre[1][:, None, None]) / radius).astype(np.float32)
        # A pixel's share of the shape, from the signed distance to its outline: 1/2 on it, 0 or 1 half a pixel away.
        distance = OUTLINES[outline](*np.broadcast_arrays(right, down))
        cover = np.clip(0.5 - distance * np.float32(radius * self.size), 0, 1)[..., None]
        return (ground + cover * (colour - ground) + 0.5).astype(np.uint8)

    def _describe(self, index: int, start: int, frames: int) -> Description:
        outline, radius, place, velocity, colour, _ = self._scene(index)
        way = heading(bounced(place, velocity, radius, np.array([start, start + 1])))
        return Description(outline, f"{an(f'{colour_name(colour.tolist())} {outline}')} moving {way}")

    def _scene(
        self, index: int
    ) -> tuple[str, float, Float64[np.ndarray, " axes"], Float64[np.ndarray, " axes"], np.ndarray, np.ndarray]:
        """Outline, radius, place, velocity, colour and ground."""
        draws = self._generator(index).random(8).tolist()
        direction, pace = 2 * np.pi * draws[0], self.speed * (0.5 + 0.5 * draws[1])
        return (
            list(OUTLINES)[int(draws[2] * len(OUTLINES))],
            0.16 + 0.06 * draws[3],
            np.array(draws[4:6]),
            pace * np.array([np.cos(direction), np.sin(direction)]),
            255 * np.array(colorsys.hsv_to_rgb(draws[6], 0.85, 0.95)),
            255 * np.array(colorsys.hsv_to_rgb(draws[7], 0.5, 0.25)),
        )
