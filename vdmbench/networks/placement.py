"""Which mixer stands at which place: of a network with levels, or of one with blocks in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vdmbench.mixers.making import MakeMixer


@dataclass(frozen=True)
class Placement:
    """The maker of the mixer of each place; ``levels`` finest first, on the way down and on the way up alike."""

    stem: MakeMixer
    levels: Sequence[MakeMixer]
    middle: MakeMixer


@dataclass(frozen=True)
class BlockPlacement:
    """Mixer and scan order of each block of a pattern, which stands ``repeat`` times in a row, or as often as there is room."""

    pattern: Sequence[tuple[MakeMixer, str]]
    repeat: int | None = None

    def blocks(self, depth: int) -> list[tuple[MakeMixer, str]]:
        """Of each of ``depth`` blocks. Raises ValueError where the pattern does not fill them."""
        repeat = depth // len(self.pattern) if self.repeat is None else self.repeat
        if not self.pattern or repeat * len(self.pattern) != depth:
            raise ValueError(f"{len(self.pattern)} blocks, {repeat} times, do not fill a depth of {depth}")
        return list(self.pattern) * repeat


def placed(mixer: MakeMixer | Placement | BlockPlacement, levels: int) -> Placement:
    """One maker as a placement of it everywhere; a placement as it is.

    Raises ValueError where a placement has another number of levels, or is one of blocks.
    """
    if isinstance(mixer, BlockPlacement):
        raise ValueError("a unet3d has no blocks in a row: give 'pattern', a mixer for each of its levels")
    if not isinstance(mixer, Placement):
        return Placement(mixer, [mixer] * levels, mixer)
    if len(mixer.levels) != levels:
        raise ValueError(f"a mixer for each of {levels} levels is wanted, got {len(mixer.levels)}")
    return mixer
