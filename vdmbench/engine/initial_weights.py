"""Weights that another cell has trained, as those a network begins with: what agrees in path and shape is taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TrainedElsewhere:
    """The network of another cell."""

    cell: str
    label: str
    attempt: str
    weights: Literal["averaged", "raw"]
    read: Callable[[], Mapping[str, Tensor]]
    """Its tensors by path, read anew at every call, so that they are not kept while training goes on."""


@dataclass(frozen=True)
class Match:
    """What two networks have in common, by path and shape."""

    matched: list[str]
    """Parameters and buffers."""
    parameters: int
    """Numbers in the matched parameters."""
    initialised: list[str]
    """Of the network that begins, without a match."""
    left: list[str]
    """Of the other one, without a place."""


def match(network: nn.Module, shapes: Mapping[str, torch.Size]) -> Match:
    """Compare ``network`` with the tensors of another."""
    own = network.state_dict()
    matched = [path for path, tensor in own.items() if shapes.get(path) == tensor.shape]
    taken = set(matched)
    numbers = {path: parameter.numel() for path, parameter in network.named_parameters()}
    return Match(
        matched,
        sum(numbers.get(path, 0) for path in matched),
        [path for path in own if path not in taken],
        [path for path in shapes if path not in taken],
    )


def take_over(network: nn.Module, weights: Mapping[str, Tensor]) -> Match:
    """Give ``network`` the tensors of ``weights`` that agree in path and shape; the rest stays as it was drawn.

    :raises ValueError: no parameter agrees.
    """
    found = match(network, {path: tensor.shape for path, tensor in weights.items()})
    if not found.parameters:
        raise ValueError(NOTHING_IN_COMMON)
    network.load_state_dict({path: weights[path] for path in found.matched}, strict=False)
    return found


NOTHING_IN_COMMON = "no parameter of the two networks agrees in path and shape"
