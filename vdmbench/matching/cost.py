"""What a network costs, counted on its structure alone: nothing is allocated and nothing is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch

from vdmbench.networks import build, count_parameters
from vdmbench.networks.flops import count_flops
from vdmbench.records import LayerCost, Parameters

IMAGE_CHANNELS = 3

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
    flops = count_flops(built, IMAGE_CHANNELS, frames, size, size)
    layers = {path: LayerCost(channels=mixer.channels, inner_width=mixer.inner_width, state_elements=mixer.state_size(frames),
                              parameters=sum(each.numel() for each in mixer.parameters()))
              for path, mixer in built.temporal_layers().items()}
    temporal = sum(flops.temporal.values())
    return Cost(
        parameters=parameters(network, mixer),
        state_elements=sum(layer.state_elements * flops.sites[path] for path, layer in layers.items()),
        flops_forward=flops.spatial + temporal,
        flops_temporal=temporal,
        layers=layers)
