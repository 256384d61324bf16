"""What a network costs, counted on its structure alone: nothing is allocated and nothing is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch

from vdmbench.networks import build, count_parameters
from vdmbench.records import LayerCost, Parameters

Choice = Mapping[str, Any]
"""``{"name": ..., **options}`` of a network or a mixer."""


@dataclass(frozen=True)
class Cost:
    """Parameters, and for clips of one length and size the state of all temporal layers and the FLOPs of a forward pass."""

    parameters: Parameters
    state_elements: int
    flops_forward: int
    flops_temporal: int
    layers: dict[str, LayerCost]


@lru_cache(maxsize=4096)
def _parameters(network: str, mixer: str) -> Parameters:
    with torch.device("meta"):
        built = build(json.loads(network), json.loads(mixer))
    return Parameters(**count_parameters(built))


def parameters(network: Choice, mixer: Choice) -> Parameters:
    """Trainable parameters of the network and of its temporal mixers; a choice is counted once."""
    return _parameters(json.dumps(dict(network), sort_keys=True), json.dumps(dict(mixer), sort_keys=True))


def count(network: Choice, mixer: Choice, of: Literal["network", "temporal"]) -> int:
    """One of the two numbers of :func:`parameters`."""
    return getattr(parameters(network, mixer), of)


def cost(network: Choice, mixer: Choice, *, frames: int, size: int) -> Cost:
    """Cost of one clip of ``frames`` square frames of ``size`` pixels.

    Raises ValueError where network, mixer and size do not fit together.
    """
    with torch.device("meta"):
        built = build(network, mixer)
    sites = built.temporal_sites(size, size)
    mixers = built.temporal_layers()
    layers = {path: LayerCost(channels=layer.channels, inner_width=layer.inner_width, parameters=sum(each.numel() for each in layer.parameters()),
                              state_elements=layer.state_size(frames)) for path, layer in mixers.items()}
    return Cost(
        parameters=parameters(network, mixer),
        state_elements=sum(layers[path].state_elements * sites[path] for path in layers),
        flops_forward=built.flops(frames, size, size),
        flops_temporal=sum(built.temporal_flops(frames, size, size).values()),
        layers=layers)
