"""Forward FLOPs of a denoiser: PyTorch's counter for what it sees, the mixers' own formulas for what it does not."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vdmbench.networks.temporal_layer import TemporalLayer


class FlopCount(NamedTuple):
    """FLOPs of one forward pass of one clip: of all layers within frames, and of each temporal layer's mixer by its path; and
    the spatial sites at which each of these mixes frames."""

    spatial: int
    temporal: dict[str, int]
    sites: dict[str, int]


def count_flops(network: nn.Module, channels: int, frames: int, height: int, width: int) -> FlopCount:
    """Run the network's skeleton on meta tensors, nothing allocated or computed, with each mixer replaced by its formula.

    The counter sees convolutions and matrix products, a multiply-add as 2; elementwise work, norms and softmax within a
    frame are left out. The mixers' conventions are those of :mod:`vdmbench.mixers.flops`.
    """
    layers = {path: layer for path, layer in network.named_modules() if isinstance(layer, TemporalLayer)}
    sites = {path: _CountSites() for path in layers}
    stand_ins: dict[int, Any] = {id(layer.mixer): sites[path] for path, layer in layers.items()}
    for tensor in [*network.parameters(), *network.buffers()]:
        stand_ins[id(tensor)] = type(tensor)(tensor.detach().to("meta"), tensor.requires_grad)
    skeleton = copy.deepcopy(network, memo=stand_ins)
    dtype = next(network.parameters()).dtype
    clip = torch.empty(1, frames, channels, height, width, device="meta", dtype=dtype)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        skeleton(clip, torch.empty(1, device="meta"))
    counts = {path: site.count for path, site in sites.items()}
    temporal = {path: counts[path] * layers[path].mixer.flops(frames) for path in layers}
    return FlopCount(counter.get_total_flops(), temporal, counts)


class _CountSites(nn.Module):
    """Stands where a mixer stood, and counts the sites that reach it."""

    count = 0

    def forward(self, x: Float[Tensor, "sites frames channels"]) -> Float[Tensor, "sites frames channels"]:
        self.count += len(x)
        return x
