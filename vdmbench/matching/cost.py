"""What a network costs, counted on its structure alone: nothing is allocated and nothing is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch

from vdmbench.networks import build, count_parameters
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.flops import Skeleton, priced, skeleton_of
from vdmbench.records import LayerCost, Parameters
from vdmbench.suite.pattern import each_replaced

IMAGE_CHANNELS = 3

Choice = Mapping[str, Any]
"""``{"name": ..., **options}`` of a network or a mixer; or mixers by place, as :attr:`TemporalLayers.temporal` has them."""


@dataclass(frozen=True)
class Cost:
    """Parameters, and for clips of one length and size the state of all temporal layers and the FLOPs of a forward pass."""

    parameters: Parameters
    state_elements: int
    flops_forward: int
    flops_temporal: int
    layers: dict[str, LayerCost]


def built_on_meta(network: Choice, mixer: Choice) -> Denoiser:
    """The network as structure: shapes, and nothing allocated. Raises ValueError where sizes do not fit together."""
    with torch.device("meta"):
        return build(network, mixer)


def _key(choice: Choice) -> str:
    return json.dumps(dict(choice), sort_keys=True)


@dataclass(frozen=True)
class Structure:
    """A network as its tensors' shapes: what can be counted, and whether two settings build the same."""

    parameters: Parameters
    digest: str
    """Hash of name, shape and dtype of every parameter and buffer."""


@lru_cache(maxsize=4096)
def _structure(network: str, mixer: str) -> Structure:
    built = built_on_meta(json.loads(network), json.loads(mixer))
    tensors = [*built.named_parameters(remove_duplicate=False), *built.named_buffers(remove_duplicate=False)]
    shapes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors]
    return Structure(Parameters(**count_parameters(built)), hashlib.sha256(repr(shapes).encode()).hexdigest())


def structure(network: Choice, mixer: Choice) -> Structure:
    """The network's structure; a choice is built once."""
    return _structure(_key(network), _key(mixer))


@lru_cache(maxsize=4096)
def _skeleton(network: str, places: str, frames: int, size: int) -> Skeleton:
    """What no mixer changes: counted once for all variants of a network with mixers at the same places."""
    return skeleton_of(built_on_meta(json.loads(network), json.loads(places)), frames, size, size)


def _places(mixer: Choice) -> str:
    """Where mixers stand: one that does nothing is no layer, and every other stands for all."""
    return _key(each_replaced(mixer, lambda each: {"name": "identity" if each["name"] == "identity" else "mlp"}))


def sequence_lengths(network: Choice, mixer: Choice, *, frames: int, size: int) -> dict[str, int]:
    """How long a sequence the mixer of each layer is handed, by path."""
    places = _places(mixer)
    return {path: each.length for path, each in _skeleton(_key(network), places, frames, size).sequences.items()}


def parameters(network: Choice, mixer: Choice) -> Parameters:
    """Trainable parameters of the network and of its temporal mixers."""
    return structure(network, mixer).parameters


def count(network: Choice, mixer: Choice, of: Literal["network", "temporal"]) -> int:
    """One of the two numbers of :func:`parameters`."""
    return getattr(parameters(network, mixer), of)


def cost(network: Choice, mixer: Choice, *, frames: int, size: int) -> Cost:
    """Cost of one clip of ``frames`` square frames of ``size`` pixels.

    Raises ValueError where network, mixer and size do not fit together.
    """
    built = built_on_meta(network, mixer)
    skeleton = _skeleton(_key(network), _places(mixer), frames, size)
    flops = priced(built, skeleton)
    layers = {
        path: LayerCost(
            channels=layer.channels,
            inner_width=layer.inner_width,
            state_elements=layer.state_size(skeleton.sequences[path].length),
            parameters=sum(each.numel() for each in layer.parameters()),
        )
        for path, layer in built.temporal_layers().items()
    }
    temporal = sum(flops.temporal.values())
    return Cost(
        parameters=parameters(network, mixer),
        state_elements=sum(layer.state_elements * skeleton.sequences[path].sites for path, layer in layers.items()),
        flops_forward=flops.spatial + temporal,
        flops_temporal=temporal,
        layers=layers,
    )
