"""A cell with its knobs set: what is built, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vdmbench.matching.cost import Choice
from vdmbench.matching.target import Target
from vdmbench.matching.workload import Workload
from vdmbench.suite import CellInputs
from vdmbench.suite.cells import Reference
from vdmbench.suite.options.published import published_heads
from vdmbench.suite.pattern import each_replaced, mixers_of
from vdmbench.user_code import is_code

Knobs = Mapping[str, int | float]


@dataclass(frozen=True)
class Resolved:
    """Declared inputs with solved batch size and frames in place, and the network and mixers at their solved widths."""

    inputs: CellInputs
    network: dict[str, Any]
    mixer: dict[str, Any]
    """Of one mixer, or of each by place or block of a pattern."""
    target: Target = field(default_factory=Target)

    @property
    def workload(self) -> Workload:
        """What its memory depends on."""
        inputs = self.inputs
        return Workload(
            self.network, self.mixer, inputs.data.frames, inputs.denoised_size, inputs.train, inputs.sample, inputs.diffusion,
            inputs.autoencoder is not None, self.target)  # fmt: skip


def resolve(inputs: CellInputs, knobs: Knobs, target: Target | None = None) -> Resolved:
    """Set the knobs that are given; the rest is as declared. ``target`` is where memory is planned, None for the default."""
    network, mixer = network_of(inputs, inputs.network), inputs.temporal
    if "base_channels" in knobs:
        network["base_channels"] = knobs["base_channels"]
    if "mixer_width" in knobs:
        mixer = widened(mixer, knobs["mixer_width"])
    changed: dict[str, Any] = {}
    if "frames" in knobs:
        changed["data"] = inputs.data.model_copy(update={"frames": int(knobs["frames"])})
    if "batch_size" in knobs:
        block = batch_block(inputs)
        changed[block] = getattr(inputs, block).model_copy(update={"batch_size": int(knobs["batch_size"])})
    return Resolved(inputs.model_copy(update=changed), network, mixer, target or Target())


def network_of(inputs: CellInputs | Reference, network: Any) -> dict[str, Any]:
    """The declared ``network`` as it is built for a cell: with the encoders of what it is told, where it is told something."""
    options = dict(network.model_dump())
    if inputs.autoencoder is not None:
        options["channels"] = inputs.autoencoder.channels
    if inputs.condition is None:
        return options
    from vdmbench.engine.conditioning import conditional_options

    return {**options, "condition": conditional_options(inputs)}


def batch_block(inputs: CellInputs) -> str:
    """The phase whose batch size is the knob: the one whose memory is matched."""
    matches = [inputs.match, inputs.match and inputs.match.also]
    return next((match.phase or "train" for match in matches if match and match.knob == "batch_size"), "train")


def declared_setting(inputs: CellInputs, knob: str) -> float:
    """Where the knob stands as declared; the search begins there."""
    if knob == "base_channels":
        return float(inputs.network.model_dump()["base_channels"])
    if knob == "mixer_width":
        return float(inputs.temporal["expand"]) if "expand" in inputs.temporal else 1.0
    return float(inputs.data.frames if knob == "frames" else getattr(inputs, batch_block(inputs)).batch_size)


def has_width(mixer: Choice, network: Mapping[str, Any]) -> bool:
    """Whether there is a width to move: a mixer with ``expand``, and none whose width is fixed on every level instead."""
    wide = [each for each in mixers_of(dict(mixer)) if "expand" in each]
    return bool(wide) and not any(_is_fixed(each, published_heads(network)) for each in wide)


def _is_fixed(choice: Mapping[str, Any], heads: int | None) -> bool:
    """Whether ``expand`` may only keep its default; ``heads`` are those that the network's preset gives."""
    if is_code(choice["name"]):
        return False
    if choice["name"] == "pair":
        return any(_is_fixed(choice[part], heads) for part in ("first", "second"))
    if "heads" in choice:
        return choice["heads"] is not None or heads is not None
    return choice.get("block") == "glu" or choice.get("hidden") is not None


def widened(mixer: Choice, width: float) -> dict[str, Any]:
    """One mixer at that ``expand``; in a pattern each temporal mixer's times it, so that they keep their proportions."""
    if "name" in mixer:
        return {**mixer, "expand": width}
    return each_replaced(mixer, lambda choice: {**choice, "expand": choice["expand"] * width} if "expand" in choice else choice)
