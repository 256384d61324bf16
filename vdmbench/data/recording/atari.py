"""Atari 2600 games, by the Arcade Learning Environment (Bellemare et al. 2013), whose package carries the games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vdmbench.data.recording.world import Episode, World, known
from vdmbench.data.resize import squeeze_square

_LONGEST_HOLD = 8  # frames for which one key is held at most
# Least and most frames that are played before the first that is kept: games begin alike, so test would repeat train.
_UNSEEN = (64, 320)


@dataclass(frozen=True, kw_only=True)
class Atari(World):
    """One game, played by random keys, each held for a few frames; ``frame_skip`` counts screens of 1/60 s.

    The whole screen is kept, squeezed to a square: the edges of these games matter. A video begins somewhere in a game; one
    that is over begins anew within the same video. ``actions``: uint8 (frames,), the key by its number in the console;
    ``restarts``: bool (frames,), true where a new game begins with that frame.
    """

    recorder: ClassVar[str] = "ale"
    package: ClassVar[str] = "ale_py"
    recorded: ClassVar[tuple[str, ...]] = ("actions", "restarts")

    frame_skip: int = 4
    game: str = "breakout"
    """Name of the game, in small letters with underscores, such as ``space_invaders``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known("game", self.game, tuple(self.engine().roms.get_all_rom_ids()))

    def play(self, episode: int) -> Episode:
        generator = self.generator(episode)
        console = self._console(int(generator.random() * 2**31))
        keys = [int(key.value) for key in console.getMinimalActionSet()]
        video = np.empty((self.frames, self.size, self.size, 3), np.uint8)
        actions, restarts = np.empty(self.frames, np.uint8), np.zeros(self.frames, np.bool_)
        unseen = int(_UNSEEN[0] + generator.random() * (_UNSEEN[1] - _UNSEEN[0]))
        key, held, shown, restarted = keys[0], 0, console.getScreenRGB(), False
        for frame in range(-unseen, self.frames):
            if not held:
                key, held = keys[int(generator.random() * len(keys))], 1 + int(generator.random() * _LONGEST_HOLD)
            held -= 1
            if frame >= 0:
                video[frame], actions[frame] = squeeze_square(shown[None], self.size)[0], key
                restarts[frame] = restarted and frame > 0
            for _ in range(self.frame_skip):
                before = console.getScreenRGB()
                console.act(key)
            restarted = console.game_over()
            if restarted:
                console.reset_game()
                before = console.getScreenRGB()
            # Of two screens the brighter of each pixel: consoles draw some sprites on every second screen alone (Mnih et al.
            # 2015, "Human-level control through deep reinforcement learning", Methods, Preprocessing).
            shown = np.maximum(before, console.getScreenRGB())
        return Episode(video, {"actions": actions, "restarts": restarts})

    def _console(self, seed: int) -> Any:
        ale = self.engine()
        ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
        console = ale.ALEInterface()
        console.setInt("random_seed", seed)
        console.setFloat("repeat_action_probability", 0.25)  # "sticky" keys, so that games of one sequence of keys differ
        console.loadROM(ale.roms.get_rom_path(self.game))
        return console
