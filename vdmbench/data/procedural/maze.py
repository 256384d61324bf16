"""First-person walks through random mazes, in closed circuits, so that a place once seen is seen again.

No two mazes are alike, every wall has a pattern and a colour by which its surroundings can be told, and the walker comes back
to exact former poses: a video model that forgets shows another wall there.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, UInt8

from vdmbench.data.procedural.raycasting import render
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.procedural.wall_textures import PATTERNS
from vdmbench.data.procedural.words import colour_name, listed, times
from vdmbench.data.source import DataError, Description, Split

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # east, south, west, north: heading times pi / 2
_STYLES = 6
_EXTRA_OPENINGS = 0.12  # share of the remaining inner walls that are opened


class Entered(NamedTuple):
    """A square and the direction in which it was entered."""

    x: int
    y: int
    heading: int


class Maze(ProceduralSource):
    """A walk through a maze of ``rooms`` x ``rooms`` crossings, at an even pace, turning along quarter circles.

    Args:
        split, frames, size, seed, train_videos, test_videos, video_frames: as in
            :class:`vdmbench.data.procedural.source.ProceduralSource`.
        rooms: crossings along each side of the maze; crossings are two squares apart.
        frames_per_square: frames in which the walker crosses one square, or turns by 90 degrees in it.
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
        rooms: int = 5,
        frames_per_square: int = 8,
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
        if rooms < 2 or frames_per_square < 1:
            raise DataError(
                f"a maze has at least 2 rooms a side and 1 frame per square, got rooms={rooms}, "
                f"frames_per_square={frames_per_square}"
            )
        self.rooms = rooms
        self.frames_per_square = frames_per_square

    def _options(self) -> Mapping[str, Any]:
        return {"rooms": self.rooms, "frames_per_square": self.frames_per_square}

    def path(self, index: int) -> Float64[np.ndarray, "frames 3"]:
        """The walker's pose in every frame of video ``index``: x and y in squares, heading in radians (0 along x)."""
        self._check_index(index)
        _, route, _ = self._world(index)
        return self._poses(route, self.video_frames)[0]

    def _revisits(self, index: int, start: int, frames: int) -> Int[np.ndarray, "pairs 2"]:
        """Frame t' stands exactly where t stood. Any video longer than one circuit, some dozen squares, has such pairs."""
        _, route, _ = self._world(index)
        identities = self._poses(route, start + frames)[1][start:]
        _, first, group = np.unique(identities, return_index=True, return_inverse=True)
        earliest = first[group]
        later = np.flatnonzero(earliest < np.arange(len(identities)))
        return np.stack([earliest[later], later], axis=1)

    @property
    def labels(self) -> tuple[str, ...]:
        """The pattern that most of the walls have."""
        return tuple(sorted(map(_name, PATTERNS)))

    def _describe(self, index: int, start: int, frames: int) -> Description:
        free, route, look = self._world(index)
        blocks, patterns, colours, _ = _dress(free, look)
        styles = np.argsort(-np.bincount(blocks[blocks > 0] - 1, minlength=_STYLES), kind="stable")
        walls = [f"{colour_name(colours[style, 1].tolist())} {_name(PATTERNS[patterns[style]])}" for style in styles[:2]]
        first, last = start // self.frames_per_square, (start + frames - 1) // self.frames_per_square
        headings = np.array([entered.heading for entered in islice(route, first, last + 2)])
        turned = (np.diff(headings) + 1) % 4 - 1
        ways = [
            times(int((turned == way).sum()), f"{side} turn")
            for way, side in ((-1, "left"), (1, "right"))
            if (turned == way).any()
        ]
        seen = ", back to a view seen before" if len(self.revisits(index, start, frames)) else ""
        return Description(
            _name(PATTERNS[patterns[styles[0]]]),
            f"a walk between {listed(walls)}, {listed(ways) if ways else 'straight on'}{seen}",
        )

    def _annotations(self, index: int, start: int, frames: int) -> dict[str, np.ndarray]:
        """``pose``, as :meth:`path` gives it."""
        _, route, _ = self._world(index)
        return {"pose": self._poses(route, start + frames)[0][start:]}

    def _world(self, index: int) -> tuple[Bool[np.ndarray, "rows columns"], Iterator[Entered], np.random.Generator]:
        """What one can walk on, the way through it, and the random numbers that dress it."""
        layout, steps, look = self._generator(index).spawn(3)
        free = _open_squares(self.rooms, layout)
        return free, _route(free, steps), look

    def _read(self, index: int, start: int, frames: int) -> UInt8[np.ndarray, "frames height width channels"]:
        free, route, look = self._world(index)
        poses, _ = self._poses(route, start + frames)
        blocks, patterns, colours, surroundings = _dress(free, look)
        return render(poses[start:], blocks, patterns, colours, surroundings, self.size)

    def _poses(
        self, route: Iterator[Entered], frames: int
    ) -> tuple[Float64[np.ndarray, "frames 3"], Int[np.ndarray, " frames"]]:
        """Poses along ``route``, and a number for each that is the same exactly where the pose is."""
        per_square = self.frames_per_square
        squares = -(-frames // per_square)
        entered = np.array([next(route) for _ in range(squares + 1)], dtype=np.int64)
        here, onward = entered[:-1], entered[1:, 2]
        into, out_of = np.array(_STEPS)[here[:, 2]][:, None], np.array(_STEPS)[onward][:, None]
        phase = np.arange(per_square) / per_square

        # Straight on: from the middle of one edge to the middle of the opposite one. A turn: a quarter circle of radius 1/2
        # about the corner between the two edges. Both meet the edges at right angles, so the walk is smooth.
        edge = here[:, None, :2] + 0.5 - 0.5 * into
        angle = phase[None, :, None] * (np.pi / 2)
        straight = edge + phase[None, :, None] * into
        arc = edge + 0.5 * out_of * (1 - np.cos(angle)) + 0.5 * into * np.sin(angle)
        turn = (onward - here[:, 2] + 1) % 4 - 1  # -1, 0 or 1 quarter turns
        place = np.where(turn[:, None, None] == 0, straight, arc)
        heading = (here[:, 2, None] + turn[:, None] * phase) * (np.pi / 2)
        poses = np.concatenate([place, heading[..., None]], axis=2).reshape(-1, 3)

        # On the edge itself (phase 0) it is not yet seen where the walker will turn.
        width = 2 * self.rooms + 1
        state = (here[:, 1] * width + here[:, 0]) * 4 + here[:, 2]
        way = np.where(np.arange(per_square) == 0, 0, turn[:, None] + 1)
        identities = ((state[:, None] * 3 + way) * per_square + np.arange(per_square)).reshape(-1)
        return poses[:frames], identities[:frames]


def _name(pattern: Callable[..., object]) -> str:
    return pattern.__name__.strip("_")


def _open_squares(rooms: int, generator: np.random.Generator) -> Bool[np.ndarray, "rows columns"]:
    """Where one can walk, as bool (2 rooms + 1, 2 rooms + 1): a spanning tree of the crossings, then no dead end left.

    The tree is grown depth first from a random crossing; each crossing with one way out is then given another, and a few more
    walls are opened. Every crossing has two ways out, so a walker never has to turn on the spot.
    """
    width = 2 * rooms + 1
    free = np.zeros((width, width), dtype=bool)
    draws = iter(generator.random(4 + 8 * rooms * rooms).tolist())
    x, y = 2 * int(next(draws) * rooms) + 1, 2 * int(next(draws) * rooms) + 1
    free[y, x] = True
    trail = [(x, y)]
    while trail:
        x, y = trail[-1]
        ways = [
            (dx, dy)
            for dx, dy in _STEPS
            if 0 < x + 2 * dx < width and 0 < y + 2 * dy < width and not free[y + 2 * dy, x + 2 * dx]
        ]
        if not ways:
            trail.pop()
            continue
        dx, dy = ways[int(next(draws) * len(ways))]
        free[y + dy, x + dx] = free[y + 2 * dy, x + 2 * dx] = True
        trail.append((x + 2 * dx, y + 2 * dy))
    for y in range(1, width, 2):
        for x in range(1, width, 2):
            inner = [(dx, dy) for dx, dy in _STEPS if 0 < x + 2 * dx < width and 0 < y + 2 * dy < width]
            closed = [(dx, dy) for dx, dy in inner if not free[y + dy, x + dx]]
            chance, choice = next(draws), next(draws)
            if closed and (len(inner) - len(closed) < 2 or chance < _EXTRA_OPENINGS):
                dx, dy = closed[int(choice * len(closed))]
                free[y + dy, x + dx] = True
    return free


def _route(free: Bool[np.ndarray, "rows columns"], generator: np.random.Generator) -> Iterator[Entered]:
    """Squares one after the other, for ever: a random walk away, the shortest way back to where and how it set out, that
    circuit once more or not, a few squares on to another start, and so forth. It never reverses."""
    width = len(free)
    crossing = int(generator.random() * (width // 2) ** 2)
    here = Entered(2 * (crossing % (width // 2)) + 1, 2 * (crossing // (width // 2)) + 1, 0)
    # It has come in from somewhere: a start with a wall behind it could never be entered again.
    ways = [heading for heading, (dx, dy) in enumerate(_STEPS) if free[here.y - dy, here.x - dx]]
    here = here._replace(heading=ways[int(generator.random() * len(ways))])
    yield here
    while True:
        circuit = []
        at = here
        for _ in range(3 + int(generator.random() * width)):
            onward = _onward(free, at)
            at = onward[int(generator.random() * len(onward))]
            circuit.append(at)
            yield at
        back = _shortest(free, at, here)
        yield from back
        if generator.random() < 0.5:
            yield from circuit
            yield from back
        for _ in range(int(generator.random() * width)):
            onward = _onward(free, here)
            here = onward[int(generator.random() * len(onward))]
            yield here


def _onward(free: Bool[np.ndarray, "rows columns"], at: Entered) -> list[Entered]:
    """What can be entered from here without turning back."""
    ways = [(at.heading + turn) % 4 for turn in (0, 1, 3)]
    return [
        Entered(at.x + _STEPS[way][0], at.y + _STEPS[way][1], way)
        for way in ways
        if free[at.y + _STEPS[way][1], at.x + _STEPS[way][0]]
    ]


def _shortest(free: Bool[np.ndarray, "rows columns"], start: Entered, goal: Entered) -> list[Entered]:
    """The shortest way from ``start`` (left out) to ``goal`` (included), breadth first.

    There always is one: a walk that never reverses gets from every state to every other in a connected graph without dead
    ends, save where the maze is one single ring, and there it comes round.
    """
    came_from = {}
    frontier = [start]
    while goal not in came_from:
        reached = []
        for at in frontier:
            for onward in _onward(free, at):
                if onward not in came_from:
                    came_from[onward] = at
                    reached.append(onward)
        frontier = reached
    way = [goal]
    while came_from[way[-1]] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _dress(
    free: Bool[np.ndarray, "rows columns"], generator: np.random.Generator
) -> tuple[
    Int[np.ndarray, "rows columns"], Int[np.ndarray, " styles"], Float32[np.ndarray, "styles 2 3"], Float32[np.ndarray, "4 3"]
]:
    """Patterns and colours: one style a district of the maze, single blocks of another style among them as landmarks."""
    width = len(free)
    draws = generator.random((_STYLES, 5))
    patterns = np.argsort(generator.random(len(PATTERNS)))[:_STYLES]
    hues = (draws[0, 0] + (np.arange(_STYLES) + 0.5 * draws[:, 1]) / _STYLES) % 1.0
    light = [
        colorsys.hsv_to_rgb(hue, 0.45 + 0.35 * vivid, 0.85 + 0.15 * bright)
        for hue, vivid, bright in zip(hues, draws[:, 2], draws[:, 3], strict=True)
    ]
    dark = [
        colorsys.hsv_to_rgb((hue + 0.06) % 1.0, 0.7, 0.30 + 0.15 * bright)
        for hue, bright in zip(hues, draws[:, 4], strict=True)
    ]
    colours = 255 * np.stack([dark, light], axis=1).astype(np.float32)

    centres = generator.random((_STYLES, 2)) * width
    rows, columns = np.mgrid[:width, :width] + 0.5
    district = np.argmin((rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2, axis=2)
    landmark = generator.random((width, width)) < 0.12
    other = (generator.random((width, width)) * _STYLES).astype(np.int64)
    blocks = np.where(free, 0, 1 + np.where(landmark, other, district))

    floor, sky = generator.random(2)
    surroundings = 255 * np.array(
        [
            colorsys.hsv_to_rgb(floor, 0.35, 0.30),
            colorsys.hsv_to_rgb(floor, 0.22, 0.62),
            colorsys.hsv_to_rgb(sky, 0.45, 0.78),
            colorsys.hsv_to_rgb(sky, 0.12, 0.90),
        ],
        np.float32,
    )
    return blocks, patterns, colours, surroundings
