"""What a suite may say of each network. Field names are the keyword arguments of the network's constructor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vdmbench.suite.model import Declared


class UNet3DOptions(Declared):
    """The space-time factorised UNet of Oshima et al. 2024."""

    base_channels: int = Field(32, ge=8, multiple_of=8)
    """Channels of the first level; group norms have 8 groups."""
    multipliers: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 4, 8), min_length=1)
    """Channels of each level over base_channels; height and width halve from level to level."""
    channels: int = Field(3, ge=1)
    """Image channels."""
    preset: Literal["fair", "oshima2024"] = "fair"
    """Frames meet in the temporal layers alone (fair), or exactly as published (oshima2024).

    The published network pools its group norms over all frames, and has one table of positions for all layers.
    """

    @property
    def levels(self) -> int:
        """Levels that a pattern of mixers speaks of."""
        return len(self.multipliers)
