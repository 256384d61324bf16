"""Forward FLOPs of a denoiser: PyTorch's counter for what it sees, the mixers' own formulas for what it does not."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

if TYPE_CHECKING:
    from vdmbench.networks.denoiser import Denoiser


class Sequences(NamedTuple):
    """What a mixer is handed for one clip: ``sites`` sequences of ``length``."""

    sites: int
    length: int


class Skeleton(NamedTuple):
    """A network without its mixers: the FLOPs of one clip in all else, and the sequences at each mixer layer by path."""

    flops: int
    sequences: dict[str, Sequences]


class FlopCount(NamedTuple):
    """FLOPs of one forward pass of one clip: of all that stays within frames, and of each temporal layer's mixer by path."""

    spatial: int
    temporal: dict[str, int]


def count_flops(network: Denoiser, frames: int, height: int, width: int) -> FlopCount:
    """By the conventions of :func:`skeleton_of` and of :mod:`vdmbench.mixers.flops`."""
    return priced(network, skeleton_of(network, frames, height, width))


def priced(network: Denoiser, skeleton: Skeleton) -> FlopCount:
    """The skeleton's FLOPs with those of the network's mixers, which may be others than the skeleton was counted with."""
    layers = network.mixer_layers()
    flops = {path: sites * layers[path].mixer.flops(length) for path, (sites, length) in skeleton.sequences.items()}
    temporal = {path: flops[path] for path, layer in layers.items() if layer.crosses_frames}
    return FlopCount(skeleton.flops + sum(flops.values()) - sum(temporal.values()), temporal)


def skeleton_of(network: Denoiser, frames: int, height: int, width: int) -> Skeleton:
    """Run the network on meta tensors, nothing allocated or computed, with something that counts in place of each mixer.

    The counter sees convolutions and matrix products, a multiply-add as 2; elementwise work, norms and softmax outside of
    mixers are left out.
    """
    skeleton, counters = _without_mixers(network)
    # Here, for it brings Triton along, which takes a sixth of a worker's start, and workers count nothing.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        _pass(skeleton, network, frames, height, width)
    return Skeleton(counter.get_total_flops(), {path: Sequences(*each.seen) for path, each in counters.items()})


def sequences_of(network: Denoiser, frames: int, height: int, width: int) -> dict[str, Sequences]:
    """What the mixer of each layer is handed for one clip, by path; nothing is allocated or computed."""
    skeleton, counters = _without_mixers(network)
    _pass(skeleton, network, frames, height, width)
    return {path: Sequences(*each.seen) for path, each in counters.items()}


def _without_mixers(network: Denoiser) -> tuple[Denoiser, dict[str, _CountSequences]]:
    """The network on the meta device, with something that counts in place of each mixer."""
    layers = network.mixer_layers()
    counters = {path: _CountSequences() for path in layers}
    stand_ins: dict[int, Any] = {id(layer.mixer): counters[path] for path, layer in layers.items()}
    for tensor in [*network.parameters(), *network.buffers()]:
        stand_ins[id(tensor)] = type(tensor)(tensor.detach().to("meta"), tensor.requires_grad)
    return copy.deepcopy(network, memo=stand_ins).requires_grad_(False), counters


@torch.no_grad()
def _pass(skeleton: Denoiser, network: Denoiser, frames: int, height: int, width: int) -> None:
    dtype = next(network.parameters()).dtype
    clip = torch.empty(1, frames, network.channels, height, width, device="meta", dtype=dtype)
    skeleton(clip, torch.empty(1, device="meta"))


class _CountSequences(nn.Module):
    """Stands where a mixer stood, and keeps the number and the length of what reaches it."""

    seen = (0, 0)

    def forward(self, x: Float[Tensor, "sites length channels"]) -> Float[Tensor, "sites length channels"]:
        self.seen = x.shape[0], x.shape[1]
        return x
