"""Which mixer stands at which place of a network with levels."""

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


def placed(mixer: MakeMixer | Placement, levels: int) -> Placement:
    """One maker as a placement of it everywhere; a placement as it is.

    Raises ValueError where a placement has another number of levels.
    """
    if not isinstance(mixer, Placement):
        return Placement(mixer, [mixer] * levels, mixer)
    if len(mixer.levels) != levels:
        raise ValueError(f"a mixer for each of {levels} levels is wanted, got {len(mixer.levels)}")
    return mixer
