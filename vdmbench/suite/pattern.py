"""Which mixer stands where: one everywhere, or a declared pattern of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vdmbench.suite.blocks import MixerChoice
from vdmbench.suite.model import Declared


class Pattern(Declared):
    """A hybrid: the mixer of each place of the network."""

    stem: MixerChoice
    """After the first convolution, at full resolution."""
    levels: list[MixerChoice] = Field(min_length=1)
    """Of each level, finest first; on the way down and on the way up alike."""
    middle: MixerChoice
    """Between the way down and the way up, at the coarsest resolution."""


class TemporalLayers(Declared):
    """One mixer in every temporal layer, or a pattern of several. What is left out is left out of dumps too."""

    mixer: MixerChoice | None = None
    """The temporal mixer of every layer; give this or `pattern`."""
    pattern: Pattern | None = None
    """The temporal mixer of each place; give this or `mixer`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> TemporalLayers:
        if (self.mixer is None) == (self.pattern is None):
            raise ValueError("give either 'mixer' (one for all temporal layers) or 'pattern' (one for each place)")
        return self

    @model_serializer(mode="wrap")
    def _without_the_other(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None or key not in ("mixer", "pattern")}

    @property
    def temporal(self) -> dict[str, Any]:
        """``{"name": ..., **options}``, or ``{"stem": ..., "levels": [...], "middle": ...}`` of such."""
        chosen: Any = self.mixer if self.pattern is None else self.pattern
        dumped: dict[str, Any] = chosen.model_dump()
        return dumped


def described(temporal: Mapping[str, Any]) -> str:
    """The names of its mixers, each once, for a sentence."""
    return " + ".join(dict.fromkeys(each["name"] for each in mixers_of(dict(temporal))))


def mixers_of(temporal: dict[str, Any]) -> list[dict[str, Any]]:
    """The mixers of :attr:`TemporalLayers.temporal`, place by place."""
    return [temporal] if "name" in temporal else [temporal["stem"], *temporal["levels"], temporal["middle"]]
