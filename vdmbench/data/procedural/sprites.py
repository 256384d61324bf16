"""Sprites that move, turn, bounce off the frame and pass in front of one another: the smallest video in which time can break.

Positions and angles are closed forms of time, so any frame is computed without those before it. A sprite keeps its shape,
colours, pattern and place in the stacking, and never jumps: frames out of order, or sprites that melt, are seen at once.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from vdmbench.data.procedural.motion import bounced, heading
from vdmbench.data.procedural.outlines import Plane, cross, disc, hexagon, ring, square, star, triangle
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.procedural.words import an, colour_name, listed
from vdmbench.data.source import DataError, Description, Split

_RIM, _RIM_SHADE = 0.12, 0.45  # width and darkness of the band along an outline, which keeps sprites apart


class Sprites(ProceduralSource):
    """``sprites`` shapes on a shaded ground; lengths are in units of the frame's side, so ``size`` only sets the sharpness.

    Args:
        split, frames, size, seed, train_videos, test_videos, video_frames: as in
            :class:`vdmbench.data.procedural.source.ProceduralSource`.
        sprites: how many there are; the later ones pass in front.
        speed: sides of the frame that the fastest sprite crosses per frame; the slowest is half as fast.
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
        sprites: int = 4,
        speed: float = 0.04,
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
        if sprites < 1 or not 0 < speed <= 0.5:
            raise DataError(f"there is at least 1 sprite, and speed lies in (0, 0.5], got sprites={sprites}, speed={speed}")
        self.sprites = sprites
        self.speed = speed

    def _options(self) -> Mapping[str, Any]:
        return {"sprites": self.sprites, "speed": self.speed}

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        ground, cast = self._scene(index)
        canvas = np.repeat(ground[None], frames, axis=0)
        time = np.arange(start, start + frames)
        for sprite in cast:
            sprite.paint(canvas, time)
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)

    @property
    def labels(self) -> tuple[str, ...]:
        """The shape of the sprite in front of all others."""
        return tuple(sorted(map(_name, SHAPES)))

    def _describe(self, index: int, start: int, frames: int) -> Description:
        front, *behind = reversed(self._scene(index)[1])
        others = f" in front of {listed([sprite.words for sprite in behind])}" if behind else ""
        return Description(_name(front.shape), f"{front.words} moving {front.heading(start)}{others}")

    def _scene(self, index: int) -> tuple[Float32[np.ndarray, "size size 3"], list[_Sprite]]:
        """The ground, and the sprites from the hindmost to the foremost."""
        generator = self._generator(index)
        ground = _ground(generator, self.size)
        return ground, [_Sprite.drawn(generator, self.speed) for _ in range(self.sprites)]


@dataclass(frozen=True)
class _Sprite:
    """One sprite: what it looks like, and where it is at any time."""

    shape: Callable[[Plane, Plane], Plane]
    pattern: Callable[[Plane, Plane], Plane]
    colours: Float32[np.ndarray, "2 3"]
    radius: float
    place: Float64[np.ndarray, " axes"]
    velocity: Float64[np.ndarray, " axes"]
    angle: float
    spin: float

    @classmethod
    def drawn(cls, generator: np.random.Generator, speed: float) -> _Sprite:
        draws = generator.random(13).tolist()
        hue, direction = draws[0], 2 * np.pi * draws[6]
        pace = speed * (0.5 + 0.5 * draws[7])
        colours = [
            colorsys.hsv_to_rgb(hue, 0.55 + 0.35 * draws[1], 0.80 + 0.20 * draws[2]),
            colorsys.hsv_to_rgb((hue + 0.08 + 0.3 * draws[3]) % 1.0, 0.75, 0.35 + 0.2 * draws[2]),
        ]
        return cls(
            shape=SHAPES[int(draws[4] * len(SHAPES))],
            pattern=PATTERNS[int(draws[5] * len(PATTERNS))],
            colours=255 * np.array(colours, np.float32),
            radius=0.11 + 0.07 * draws[8],
            place=np.array(draws[9:11]),
            velocity=pace * np.array([np.cos(direction), np.sin(direction)]),
            angle=2 * np.pi * draws[11],
            spin=0.15 * (2 * draws[12] - 1),
        )

    @property
    def words(self) -> str:
        """Such as ``a red striped star``."""
        said = " ".join([colour_name(self.colours[0].tolist()), _PATTERN_WORDS[_name(self.pattern)], _name(self.shape)])
        return an(" ".join(said.split()))

    def heading(self, time: int) -> str:
        """The direction in which it moves from frame ``time`` to the next."""
        return heading(self._centre(np.array([time, time + 1])))

    def _centre(self, time: np.ndarray) -> Float64[np.ndarray, "2 frames"]:
        """Across and down, in sides of the frame."""
        return bounced(self.place, self.velocity, self.radius, time)

    def paint(self, canvas: Float32[np.ndarray, "frames size size 3"], time: np.ndarray) -> None:
        """Paint the sprite at the times ``time`` (in frames) over ``canvas``, in place."""
        frames, size = canvas.shape[:2]
        centre = self._centre(time) * size  # in pixels
        angle = (self.angle + self.spin * time)[:, None, None]

        side = min(2 * int(np.ceil(self.radius * size)) + 3, size)  # of the box that holds the sprite and its soft edge
        corner = np.clip(np.floor(centre - side / 2).astype(np.int64), 0, size - side)
        columns = corner[0][:, None, None] + np.arange(side)[None, None, :]
        rows = corner[1][:, None, None] + np.arange(side)[None, :, None]
        right = ((columns + 0.5 - centre[0][:, None, None]) / (self.radius * size)).astype(np.float32)
        down = ((rows + 0.5 - centre[1][:, None, None]) / (self.radius * size)).astype(np.float32)
        cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        u, v = cosine * right + sine * down, cosine * down - sine * right  # the sprite's own axes, its circumcircle being 1

        # A pixel's share of the shape, from the signed distance to its outline: 1/2 on it, 0 or 1 half a pixel away.
        pixel = np.float32(1 / (self.radius * size))
        distance = self.shape(u, v)
        cover = np.clip(0.5 - distance / pixel, 0, 1)[..., None]
        tone = _softened(self.pattern(u, v), pixel)[..., None]
        colour = self.colours[0] + tone * (self.colours[1] - self.colours[0])
        inner = np.clip(0.5 - (distance + np.float32(_RIM)) / pixel, 0, 1)[..., None]
        colour = colour * (np.float32(1) - np.float32(_RIM_SHADE) * (1 - inner))
        box = (np.arange(frames)[:, None, None], rows, columns)
        below = canvas[box]
        canvas[box] = below + cover * (colour - below)


def _ground(generator: np.random.Generator, size: int) -> Float32[np.ndarray, "size size 3"]:
    """A dim, smooth shading between two colours, with a faint ripple."""
    draws = generator.random(6).tolist()
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(grid, grid)
    angle = 2 * np.pi * draws[0]
    shade = 0.5 + 0.6 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))
    shade = shade + 0.12 * np.sin(2 * np.pi * (1 + draws[1]) * x + 6 * draws[2]) * np.sin(2 * np.pi * (1 + draws[3]) * y)
    one = 255 * np.array(colorsys.hsv_to_rgb(draws[4], 0.45, 0.20), np.float32)
    other = 255 * np.array(colorsys.hsv_to_rgb((draws[4] + 0.1 + 0.2 * draws[5]) % 1.0, 0.40, 0.55), np.float32)
    return (one + np.clip(shade, 0, 1)[..., None].astype(np.float32) * (other - one)).astype(np.float32)


# Patterns: waves whose sign chooses between a sprite's two colours, with a slope of about one per unit length at the change.


def _plain(u: Plane, v: Plane) -> Plane:
    return -np.ones_like(u)


def _stripes(u: Plane, v: Plane) -> Plane:
    return np.sin(u * np.float32(7)) / np.float32(7)


def _checks(u: Plane, v: Plane) -> Plane:
    return np.sin(u * np.float32(5.5)) * np.sin(v * np.float32(5.5)) / np.float32(5.5)


def _half(u: Plane, v: Plane) -> Plane:
    return v


def _eye(u: Plane, v: Plane) -> Plane:
    return np.float32(0.3) - np.hypot(u - np.float32(0.3), v)


def _softened(wave: Plane, pixel: np.float32) -> Plane:
    """0 or 1 by the wave's sign, passing over within a pixel."""
    return np.clip(0.5 + wave / pixel, 0, 1)


def _name(drawer: Callable[..., Plane]) -> str:
    return drawer.__name__.strip("_")


SHAPES = (disc, square, triangle, hexagon, ring, cross, star)
PATTERNS = (_plain, _stripes, _checks, _half, _eye)
_PATTERN_WORDS = {"plain": "", "stripes": "striped", "checks": "checked", "half": "two-coloured", "eye": "one-eyed"}
