"""From names and options to a network: the one place where a network meets its mixer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vdmbench import registry
from vdmbench.networks.denoiser import Denoiser


def build(network: Mapping[str, Any], mixer: Mapping[str, Any]) -> Denoiser:
    """The network, with a mixer of that kind in each of its temporal layers.

    Under ``torch.device("meta")`` nothing is allocated.

    Args:
        network: ``{"name": ..., **options}``, options as validated by the name's option model.
        mixer: likewise.

    Raises:
        UnknownName: a name that its table does not hold.
        ValueError: sizes that do not fit together.
    """
    network_options, mixer_options = dict(network), dict(mixer)
    make_network = registry.networks[network_options.pop("name")].load()
    make_mixer = registry.mixers[mixer_options.pop("name")].load()
    built: Denoiser = make_network(mixer=partial(make_mixer, **mixer_options), **network_options)
    return built


def count_parameters(network: Denoiser) -> dict[str, int]:
    """Parameters of the whole ``network`` and of its ``temporal`` mixers, each once, frozen ones included (the published counts
    hold some)."""
    temporal = {parameter: None for mixer in network.temporal_layers().values() for parameter in mixer.parameters()}
    return {"network": sum(parameter.numel() for parameter in network.parameters()),
            "temporal": sum(parameter.numel() for parameter in temporal)}
