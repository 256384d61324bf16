"""The network and temporal layers of Oshima et al. 2024 (arXiv 2403.07711), as a suite declares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from vdmbench import registry
from vdmbench.suite.errors import problem_at
from vdmbench.suite.options.networks import UNet3DOptions
from vdmbench.suite.pattern import Place, placed_mixers
from vdmbench.user_code import is_code

CHANNELS_PER_HEAD = 8
"""The layers over places of a unet3d have base_channels / 8 heads, and with preset oshima2024 attention over frames too."""
HIDDEN = 512
"""Width of the hidden layer (mlp) and of S6's gate (gss) on every level, in the paper's runs."""
BlockName = Literal["mlp", "glu", "gss", "mamba"]
_MERGE: dict[BlockName, str] = {"mlp": "concat", "glu": "sum", "gss": "product", "mamba": "sum"}


def published_heads(network: Mapping[str, Any]) -> int | None:
    """Heads of every attention over frames in a network with preset oshima2024, base_channels / 8; None with another preset."""
    if network.get("preset") != "oshima2024":
        return None
    base: int = network.get("base_channels", UNet3DOptions.model_fields["base_channels"].default)
    return base // CHANNELS_PER_HEAD


def with_published_heads(choice: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    """The mixer ``{"name": ..., **options}`` with the heads that the network's preset gives it, where it leaves them out."""
    heads, options = published_heads(network), dict(choice)
    if heads is None or is_code(options["name"]):
        return options
    model = registry.mixers[options["name"]].load_options()
    if options["name"] == "pair":
        whole = model(**{key: value for key, value in options.items() if key != "name"}).model_dump()
        return {"name": "pair", **whole} | {part: with_published_heads(whole[part], network) for part in ("first", "second")}
    if "heads" in model.model_fields and options.get("heads") is None:
        options["heads"] = heads
    return options


def check_published_heads(network: Mapping[str, Any], temporal: Mapping[str, Any]) -> None:
    """Raise a problem, at its place in a cell, of an attention that cannot have the heads that the preset gives it."""
    heads = published_heads(network)
    if heads is None:
        return
    for place, choice in placed_mixers(temporal):
        for where, attention in _attentions(place, choice):
            if attention["heads"] not in (None, heads):
                raise problem_at(
                    (*where, "heads"),
                    f"preset oshima2024 has base_channels / 8 = {heads} heads in every layer, got {attention['heads']}: leave "
                    "heads out, and they follow base_channels, or use preset 'fair'",
                )
            if attention.get("expand", 1) != 1:
                raise problem_at(
                    (*where, "expand"),
                    f"preset oshima2024 fixes the inner width of attention at {heads} heads, got {attention['expand']}: keep "
                    "expand 1, or use preset 'fair'",
                )


def _attentions(place: Place, choice: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The mixer where it has heads, or those of a pair that have; of a user's class nothing is known."""
    if choice["name"] == "pair":
        for part in ("first", "second"):
            yield from _attentions((*place, part), choice[part])
    elif "heads" in choice and not is_code(choice["name"]):
        yield place, choice


def published_mixers(base_channels: int = 32, *, block: BlockName = "mamba", hidden: int = HIDDEN) -> dict[str, dict[str, Any]]:
    """Published name to ``{"name": ..., **options}``, for ``UNet3D(preset="oshima2024")`` of that width.

    Attention has base_channels / 8 heads of 64 features on every level, un-fused, with rotary embedding and a relative
    bias that saturates at 32 frames.

    Args:
        block: of the state-space layers: the paper's versions 1 (mlp), 2 (glu), 10 (gss) and 20, its default (mamba).
        hidden: width of the hidden layer of ``mlp`` and of the gate of S6 in ``gss``, on every level; S4D's gate there is
            three times the channels.
    """
    heads = {"heads": base_channels // CHANNELS_PER_HEAD, "head_dim": 64}
    fixed = {"block": block, "hidden": hidden}
    s6: dict[str, Any] = fixed if block in ("mlp", "gss") else {"block": block}
    s4d: dict[str, Any] = {"block": block, "expand": 3.0} if block == "gss" else s6
    one, both = {"direction": "forward"}, {"direction": "both", "merge": _MERGE[block]}
    return {
        "attn": {"name": "attention", **heads, "rotary": True, "relative_bias": True, "max_distance": 32, "backend": "math"},
        "l-attn": {
            "name": "linear-attention",
            **heads,
            "feature_map": "softmax",
            "rotary": "before-map",
            "scale_output": True,
        },
        "s4d": {"name": "s4d", **one, **s4d, "state": 16},
        "bi-s4d": {"name": "s4d", **both, **s4d, "state": 16},
        "s6": {"name": "mamba", **one, **s6, "state": 16},
        "bi-s6": {"name": "mamba", **both, **s6, "state": 16},
    }
