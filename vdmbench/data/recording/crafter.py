"""Crafter (Hafner 2022, "Benchmarking the Spectrum of Agent Capabilities"): an open world seen from above, in a grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from vdmbench.data.recording.world import Episode, World, known
from vdmbench.data.resize import squeeze_square

Policy = Literal["walk", "random"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
_MOVES = range(1, 5)  # left, right, up, down, as the game numbers its actions
_DO = 5
_GRID = 9  # squares along the picture's sides, whose pixels must come out even
_VITAL = ("health", "food", "drink", "energy")
_LONGEST_WALK = 12  # steps in one direction at most


@dataclass(frozen=True, kw_only=True)
class Crafter(World):
    """A life in one generated world; ``frame_skip`` counts the player's steps.

    The player is kept whole, so that an episode lasts for ever. ``actions``: uint8 (frames,), as the game numbers them.
    """

    recorder: ClassVar[str] = "crafter"
    package: ClassVar[str] = "crafter"

    frame_skip: int = 1
    policy: Policy = "walk"
    """``walk`` goes straight for some steps and takes what it meets, ``random`` does anything at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known("policy", self.policy, POLICIES)

    def play(self, episode: int) -> Episode:
        generator = self.generator(episode)
        # Rendered at the next multiple of the grid, and shrunk by exact area averages.
        rendered = _GRID * -(-max(self.size, 8 * _GRID) // _GRID)
        world = self.engine().Env(size=(rendered, rendered), length=None, seed=int(generator.random() * 2**31))
        shown, act = world.reset(), _WALKERS[self.policy](generator, len(world.action_names))
        _put_in_order(world)
        video = np.empty((self.frames, self.size, self.size, 3), np.uint8)
        actions = np.empty(self.frames, np.uint8)
        for frame in range(self.frames):
            video[frame] = squeeze_square(shown[None], self.size)[0]
            actions[frame] = action = act()
            for _ in range(self.frame_skip):
                shown = world.step(action)[0]
                _keep_whole(world)
        return Episode(video, {"actions": actions})


class _InOrder(dict[Any, None]):
    """A set that is gone through in the order in which things were added."""

    def add(self, thing: Any) -> None:
        self[thing] = None

    def remove(self, thing: Any) -> None:
        del self[thing]


def _put_in_order(world: Any) -> None:
    """The game draws lots among the creatures of a region, which it keeps in sets: in the order of their addresses in memory,
    so that one seed gives other lives in every process."""
    regions = world._world._chunks
    ordered: defaultdict[Any, _InOrder] = defaultdict(_InOrder)
    for region, things in regions.items():
        for thing in world._world.objects:
            if thing in things:
                ordered[region].add(thing)
    world._world._chunks = ordered


def _keep_whole(world: Any) -> None:
    """Also after a step into lava: whatever was lost is given back. No public way leads to the player's needs."""
    inventory = world._player.inventory
    for need in _VITAL:
        inventory[need] = 9


def _walk(generator: np.random.Generator, actions: int) -> Callable[[], int]:
    """Straight on for 1 to 12 steps, now and then taking what lies ahead."""
    direction, left = _MOVES[0], 0

    def act() -> int:
        nonlocal direction, left
        if not left:
            direction, left = _MOVES[int(generator.random() * len(_MOVES))], 1 + int(generator.random() * _LONGEST_WALK)
        left -= 1
        return _DO if generator.random() < 0.1 else direction

    return act


def _random(generator: np.random.Generator, actions: int) -> Callable[[], int]:
    return lambda: int(generator.random() * actions)


_WALKERS: dict[Policy, Callable[[np.random.Generator, int], Callable[[], int]]] = {"walk": _walk, "random": _random}
