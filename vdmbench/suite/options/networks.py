"""What a suite may say of each network. Field names are the keyword arguments of the network's constructor."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vdmbench.suite.errors import problem_at
from vdmbench.suite.model import Declared

INITIAL_GAIN = 0.1
"""About what softmax attention and Mamba give at their own initialisation."""
_Side = Annotated[int, Field(ge=1, le=1024)]


class UNet3DOptions(Declared):
    """The space-time factorised UNet of Oshima et al. 2024."""

    base_channels: int = Field(32, ge=8, le=65_536, multiple_of=2)
    """Channels of the first level; group norms have 8 groups, or the most of fewer that divide a level's channels."""
    multipliers: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((1, 2, 4, 8), min_length=1, max_length=12)
    """Channels of each level over base_channels; height and width halve from level to level."""
    channels: int = Field(3, ge=1, le=4_096)
    """Image channels."""
    preset: Literal["fair", "oshima2024"] = "fair"
    """Frames meet in the temporal layers alone (fair), or exactly as published (oshima2024).

    The published network pools its group norms over all frames, and has one table of positions for all layers.
    """

    initial_gain: float | None = Field(INITIAL_GAIN, gt=0)
    """Root mean square of every temporal branch at the start, over that of its normed input, by a learnt gain behind the mixer.

    null is no gain, and each mixer starts as it does. With preset oshima2024, which is as published, there is none.
    """

    @model_validator(mode="before")
    @classmethod
    def _gain_of_no_published_network(cls, given: Any) -> Any:
        """A published network is recorded without a gain. The default comes back here where a preset is swept, and is none."""
        if not isinstance(given, dict) or given.get("preset") != "oshima2024":
            return given
        if given.get("initial_gain") not in (None, INITIAL_GAIN):
            raise problem_at(("initial_gain",), "preset oshima2024 is as published, without one: leave it out, or use fair")
        return {**given, "initial_gain": None}

    @model_validator(mode="after")
    def _published_groups(self) -> UNet3DOptions:
        if self.base_channels % self.width_step:
            raise problem_at(
                ("base_channels",),
                f"preset oshima2024 has 8 groups in every norm: give a multiple of 8, not {self.base_channels}, or use 'fair'",
            )
        return self

    @property
    def width_step(self) -> int:
        """What base_channels is a multiple of."""
        return 8 if self.preset == "oshima2024" else 2

    @property
    def levels(self) -> int:
        """Levels that a pattern of mixers speaks of."""
        return len(self.multipliers)


class DiTOptions(Declared):
    """A video diffusion transformer, of any size."""

    base_channels: int = Field(384, ge=8, le=65_536, multiple_of=8)
    """Features of a token: the width of the network."""
    depth: int = Field(12, ge=1, le=1_024)
    """Blocks in a row."""
    patch: tuple[_Side, _Side, _Side] = (1, 2, 2)
    """Frames, rows and columns of a token; a clip's must be multiples of them."""
    mlp_ratio: float = Field(4.0, gt=0)
    """Hidden width of the perceptrons over base_channels."""
    cross_attention: bool = False
    """Every block attends to the tokens of the condition, such as a caption's."""
    initial_gain: float | None = Field(INITIAL_GAIN, gt=0)
    """Root mean square of every mixer's output at the start, over that of its input, by a learnt gain; null is no gain."""
    channels: int = Field(3, ge=1, le=4_096)
    """Image channels."""


class DiT5MOptions(DiTOptions):
    """A DiT of about 5 M parameters."""

    base_channels: int = Field(192, ge=8, le=65_536, multiple_of=8)
    """Features of a token: the width of the network."""
    depth: int = Field(8, ge=1, le=1_024)
    """Blocks in a row."""


class DiT20MOptions(DiTOptions):
    """A DiT of about 20 M parameters."""

    depth: int = Field(8, ge=1, le=1_024)
    """Blocks in a row."""


class DiT130MOptions(DiTOptions):
    """A DiT of about 130 M parameters: the width and depth of DiT-B."""

    base_channels: int = Field(768, ge=8, le=65_536, multiple_of=8)
    """Features of a token: the width of the network."""


class DiT1BOptions(DiTOptions):
    """A DiT of about 1 B parameters."""

    base_channels: int = Field(1536, ge=8, le=65_536, multiple_of=8)
    """Features of a token: the width of the network."""
    depth: int = Field(24, ge=1, le=1_024)
    """Blocks in a row."""


class DiT5BOptions(DiTOptions):
    """A DiT of about 5 B parameters that attends to text: made to be planned on a laptop, and trained on a cluster."""

    base_channels: int = Field(3072, ge=8, le=65_536, multiple_of=8)
    """Features of a token: the width of the network."""
    depth: int = Field(24, ge=1, le=1_024)
    """Blocks in a row."""
    cross_attention: bool = True
    """Every block attends to the tokens of the condition, such as a caption's."""
