"""From names and options to a network: the one place where a network meets its mixer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vdmbench import registry
from vdmbench.mixers.making import MakeMixer, mixer_maker
from vdmbench.networks.conditional import Conditional
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.placement import BlockPlacement, Placement
from vdmbench.suite.options.published import with_published_heads


def build(network: Mapping[str, Any], mixer: Mapping[str, Any]) -> Denoiser:
    """The network, with a mixer of that kind in each of its temporal layers, or with several by place.

    Under ``torch.device("meta")`` nothing is allocated.

    Args:
        network: ``{"name": ..., **options}``, options as validated by the name's option model; under ``condition`` those of
            :class:`~vdmbench.networks.conditional.Conditional`, where the network is told something.
        mixer: likewise; or of such ``{"stem": ..., "levels": [...], "middle": ...}`` for a network with levels, ``{"pattern":
            [{"mixer": ..., "scan": ...}, ...], "repeat": None}`` for one with blocks in a row.

    Raises:
        UnknownName: a name that its table does not hold.
        InvalidUserCode: a user's mixer that cannot be loaded.
        ValueError: sizes that do not fit together.
    """
    options = dict(network)
    make_network = registry.networks[options.pop("name")].load()
    condition = options.pop("condition", None)
    built: Denoiser = make_network(mixer=_makers(mixer, options), **options)
    return built if condition is None else Conditional(built, **condition)


def _makers(mixer: Mapping[str, Any], network: Mapping[str, Any]) -> MakeMixer | Placement | BlockPlacement:
    def maker(choice: Mapping[str, Any]) -> MakeMixer:
        return mixer_maker(with_published_heads(choice, network))

    if "name" in mixer:
        return maker(mixer)
    if "pattern" in mixer:
        return BlockPlacement([(maker(block["mixer"]), block["scan"]) for block in mixer["pattern"]], mixer.get("repeat"))
    stem, *levels, middle = (maker(choice) for choice in (mixer["stem"], *mixer["levels"], mixer["middle"]))
    return Placement(stem, levels, middle)


def count_parameters(network: Denoiser) -> dict[str, int]:
    """Parameters of the whole ``network`` and of its ``temporal`` mixers, each once, frozen ones included (the published counts
    hold some)."""
    temporal = {parameter: None for mixer in network.temporal_layers().values() for parameter in mixer.parameters()}
    return {
        "network": sum(parameter.numel() for parameter in network.parameters()),
        "temporal": sum(parameter.numel() for parameter in temporal),
    }
