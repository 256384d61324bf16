"""Which mixer stands where: one everywhere, or a declared pattern of several, by level or by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vdmbench.suite.block_pattern import BlockPattern
from vdmbench.suite.blocks import MixerChoice
from vdmbench.suite.model import Declared


class Pattern(Declared):
    """A hybrid of a network with levels: the mixer of each place."""

    stem: MixerChoice
    """After the first convolution, at full resolution."""
    levels: list[MixerChoice] = Field(min_length=1)
    """Of each level, finest first; on the way down and on the way up alike."""
    middle: MixerChoice
    """Between the way down and the way up, at the coarsest resolution."""


Place = tuple[str | int, ...]
"""Where a field stands in a cell, part by part."""
FORMS = ("mixer", "pattern", "blocks")
"""The ways of saying which mixer stands where; a variant has one of them."""


class TemporalLayers(Declared):
    """One mixer in every temporal layer, or a pattern of several. What is left out is left out of dumps too."""

    mixer: MixerChoice | None = None
    """The temporal mixer of every layer; give this, `pattern` or `blocks`."""
    pattern: Pattern | None = None
    """The temporal mixer of each place of a network with levels (unet3d)."""
    blocks: BlockPattern | None = None
    """Mixer and scan order of each block of a network with blocks in a row (dit)."""

    @model_validator(mode="after")
    def _one_of_them(self) -> TemporalLayers:
        if sum(getattr(self, form) is not None for form in FORMS) != 1:
            raise ValueError(
                "give either 'mixer' (one for all temporal layers), 'pattern' (one for each place of a unet3d) or 'blocks' "
                "(a mixer and scan order for each block of a dit), and one of them alone"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_the_others(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None or key not in FORMS}

    @property
    def temporal(self) -> dict[str, Any]:
        """``{"name": ..., **options}``; or of such ``{"stem": ..., "levels": [...], "middle": ...}``, or ``{"pattern":
        [{"mixer": ..., "scan": ...}, ...], "repeat": ...}``."""
        chosen: Any = next(getattr(self, form) for form in FORMS if getattr(self, form) is not None)
        dumped: dict[str, Any] = chosen.model_dump()
        return dumped


def described(temporal: Mapping[str, Any]) -> str:
    """The names of its mixers, each once, for a sentence."""
    return " + ".join(dict.fromkeys(each["name"] for each in mixers_of(dict(temporal))))


def mixers_of(temporal: dict[str, Any]) -> list[dict[str, Any]]:
    """The mixers of :attr:`TemporalLayers.temporal`, place by place."""
    if "name" in temporal:
        return [temporal]
    if "pattern" in temporal:
        return [block["mixer"] for block in temporal["pattern"]]
    return [temporal["stem"], *temporal["levels"], temporal["middle"]]


def placed_mixers(temporal: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Each mixer in which frames meet, with its place in a cell."""
    if "name" in temporal:
        yield ("mixer",), temporal
    elif "pattern" in temporal:
        for number, block in enumerate(temporal["pattern"]):
            if block["scan"] != "frame":
                yield ("blocks", "pattern", number, "mixer"), block["mixer"]
    else:
        yield ("pattern", "stem"), temporal["stem"]
        for number, level in enumerate(temporal["levels"]):
            yield ("pattern", "levels", number), level
        yield ("pattern", "middle"), temporal["middle"]


def each_replaced(temporal: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The same places with their temporal mixers changed; those of blocks within frames stay."""
    if "name" in temporal:
        return change(dict(temporal))
    if "pattern" in temporal:
        blocks = [
            {**each, "mixer": each["mixer"] if each["scan"] == "frame" else change(each["mixer"])}
            for each in temporal["pattern"]
        ]
        return {**temporal, "pattern": blocks}
    return {
        "stem": change(temporal["stem"]),
        "levels": [change(level) for level in temporal["levels"]],
        "middle": change(temporal["middle"]),
    }
