"""ViZDoom: a walker in a first-person world, and the pictures that it sees.

An episode depends on its seed alone. A game that has played before does not forget it entirely (monsters move otherwise than
in a fresh one), so every episode starts its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.recording.world import Episode, World, known
from vdmbench.data.resize import fit_square
from vdmbench.data.source import DataError

Policy = Literal["smooth-walk", "random"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
# Every episode of these begins at another place; where all begin alike, test videos would repeat training videos.
SCENARIOS = {
    "my_way_home": "a maze of rooms and corridors, no monsters",
    "health_gathering_supreme": "a walled yard with medical kits and poison on a glowing floor",
    "deathmatch": "a hall with side rooms, monsters and weapons",
}
_HEIGHTS = {
    120: "160X120",
    150: "200X150",
    192: "256X192",
    240: "320X240",
    300: "400X300",
    384: "512X384",
    480: "640X480",
    600: "800X600",
    768: "1024X768",
    960: "1280X960",
    1200: "1600X1200",
}
MAX_SIZE = 800
_OVERSAMPLING = 1.5  # least ratio of what the game renders to what is kept, for smooth edges

Action = list[float]  # move forward (0 or 1), step right (-1 to 1), turn right in degrees per tic
Walker = Callable[[UInt8[np.ndarray, "height width"]], Action]


@dataclass(frozen=True, kw_only=True)
class ViZDoom(World):
    """A walk through one of :data:`SCENARIOS`; ``frame_skip`` counts tics of 1/35 s.

    The walker cannot be hurt, and what ends the scenario when it is reached is taken away, so an episode lasts for ever,
    without a cut. ``actions``: float32 (frames, 3), forward (0 or 1), right (-1 to 1), and degrees turned right per tic.
    """

    recorder: ClassVar[str] = "vizdoom"
    package: ClassVar[str] = "vizdoom"

    scenario: str = "my_way_home"
    policy: Policy = "smooth-walk"
    """``smooth-walk`` keeps walking and turns before walls, ``random`` presses random keys."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known("scenario", self.scenario, SCENARIOS)
        known("policy", self.policy, POLICIES)
        if self.size > MAX_SIZE:
            raise DataError(f"size lies between 1 and {MAX_SIZE}, got {self.size}")

    def play(self, episode: int) -> Episode:
        generator = self.generator(episode)
        game = self._game()
        game.set_seed(int(generator.random() * 2**31))
        walker = _WALKERS[self.policy](generator, self.frame_skip)
        video = np.empty((self.frames, self.size, self.size, 3), np.uint8)
        actions = np.empty((self.frames, 3), np.float32)
        try:
            game.init()
            game.send_game_command("god")
            game.send_game_command("remove GreenArmor")  # the goal of my_way_home
            for frame in range(self.frames):
                if game.is_episode_finished():
                    raise DataError(
                        f"scenario {self.scenario} with seed {self.seed} ended after {frame} of {self.frames} "
                        f"frames of episode {episode}; ask for fewer frames or a smaller frame_skip"
                    )
                state = game.get_state()
                video[frame] = fit_square(state.screen_buffer[None], self.size)[0]
                forward, right, turn = actions[frame] = walker(state.depth_buffer)
                game.make_action([forward, max(right, 0.0), max(-right, 0.0), turn], self.frame_skip)
        finally:
            game.close()
        return Episode(video, {"actions": actions})

    def _game(self) -> Any:
        """A game that has not started: no window, no sound, and nothing but the world in the picture."""
        vizdoom = self.engine()
        game = vizdoom.DoomGame()
        game.load_config(f"{vizdoom.scenarios_path}/{self.scenario}.cfg")
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_doom_skill(4)  # the highest one that heeds "god"
        game.set_episode_timeout(0)
        height = min(height for height in _HEIGHTS if height >= _OVERSAMPLING * self.size)
        game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{_HEIGHTS[height]}"))
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_depth_buffer_enabled(True)
        for drawn in ("hud", "weapon", "crosshair", "messages", "screen_flashes"):
            getattr(game, f"set_render_{drawn}")(False)
        buttons = vizdoom.Button
        game.set_available_buttons([buttons.MOVE_FORWARD, buttons.MOVE_RIGHT, buttons.MOVE_LEFT, buttons.TURN_LEFT_RIGHT_DELTA])
        game.set_available_game_variables([])
        return game


def _smooth_walk(generator: np.random.Generator, frame_skip: int) -> Walker:
    """Walks on towards where it is open, veering slowly at random; where nothing is open it stops and turns, to one side until
    something is. The turning rate itself changes gradually."""
    turn, veer, escape = 0.0, 0.0, 0.0

    def act(depth: np.ndarray) -> Action:
        nonlocal turn, veer, escape
        for _ in range(frame_skip):
            veer = 0.97 * veer + 0.6 * (generator.random() - 0.5)  # degrees per tic, remembered for some 30 tics
        eye_level = depth[int(0.45 * len(depth)) : int(0.55 * len(depth))]
        clearance = np.array([sector.min() for sector in np.array_split(eye_level, len(_SECTORS), axis=1)], dtype=np.float64)
        open_side = float(_SECTORS @ clearance**2 / np.sum(clearance**2))  # mean direction, wide views counting more
        if clearance.max() > _OPEN:
            escape = 0.0
        elif clearance.max() < _CLOSED and not escape:
            escape = 1.0 if open_side + veer > 0 else -1.0
        wanted = 6.0 * escape if escape else veer + 0.12 * open_side
        for _ in range(frame_skip):
            turn += 0.3 * (wanted - turn)
        return [0.0 if escape else 1.0, 0.0, turn]

    return act


def _random(generator: np.random.Generator, frame_skip: int) -> Walker:
    """One of: ahead, step left, step right, turn left, turn right; each held for 1 to 15 tics."""
    choices: list[Action] = [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -4.0], [0.0, 0.0, 4.0]]
    action, held = choices[0], 0

    def act(depth: np.ndarray) -> Action:
        nonlocal action, held
        if held <= 0:
            action, held = choices[int(generator.random() * len(choices))], 1 + int(generator.random() * 15)
        held -= frame_skip
        return action

    return act


_SECTORS = np.linspace(-40, 40, 9)  # directions in which the smooth walker looks, in degrees to the right
_CLOSED, _OPEN = 6.0, 14.0  # clearances at which it stops and walks on, as the engine's 8-bit depth buffer counts them
_WALKERS: dict[Policy, Callable[[np.random.Generator, int], Walker]] = {"smooth-walk": _smooth_walk, "random": _random}
