"""Attention between the places of one frame: linear on every level, full at the lowest resolution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.networks.norms import ChannelNorm
from vdmbench.ops import attention, linear_attention, place_attention
from vdmbench.ops.linear import Linear, linear
from vdmbench.ops.recompute import recomputed

HEAD_DIM = 32


class SpatialAttention(nn.Module):
    """x + attention(norm(x)) over the places of each frame.

    Args:
        heads: of 32 features each.
        linear: softmax of queries over features and of keys over places, output scaled by 32^-1/2 and mapped with a bias
            (Shen et al. 2018, arXiv 1812.01243); else full softmax attention, mapped without (Oshima et al. 2024, code).
    """

    def __init__(self, channels: int, *, heads: int, linear: bool) -> None:
        super().__init__()
        self.heads, self.linear = heads, linear
        self.norm = ChannelNorm(channels)
        self.to_qkv = Linear(channels, 3 * heads * HEAD_DIM, bias=False)
        self.to_out = Linear(heads * HEAD_DIM, channels, bias=linear)

    def forward(self, x: Float[Tensor, "images channels height width"]) -> Float[Tensor, "images channels height width"]:
        last = x.permute(0, 2, 3, 1)  # (images, height, width, channels), as it lies in memory
        return x + self.attend(self.norm(last)).permute(0, 3, 1, 2)

    def attend(self, x: Float[Tensor, "images height width channels"]) -> Float[Tensor, "images height width channels"]:
        """Without norm and residual."""
        places = x.flatten(1, 2)
        attended = self._linear(places) if self.linear and places.shape[1] > places.shape[2] else self._by_values(places)
        return attended.unflatten(1, x.shape[1:3])

    def _by_values(self, x: Float[Tensor, "images places channels"]) -> Float[Tensor, "images places channels"]:
        qkv = linear(x, self.to_qkv.weight).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, HEAD_DIM)).transpose(1, 2) for part in qkv)  # (images, heads, places, 32)
        mixed = linear_attention(q, k, v) if self.linear else attention(q, k, v)
        # The scale is applied to the map, which is smaller than the activations.
        weight = self.to_out.weight * HEAD_DIM**-0.5 if self.linear else self.to_out.weight
        return linear(mixed.transpose(1, 2).flatten(-2), weight, self.to_out.bias)

    def _linear(self, x: Float[Tensor, "images places channels"]) -> Float[Tensor, "images places channels"]:
        """The same with the maps to values and to the output taken behind the sums over places, of which there are more than
        channels: of a head, softmax(q) (softmax(k)^T x) W_v^T W_out^T, whose last three are one small matrix an image."""
        to_q, to_k, to_v = self.to_qkv.weight.chunk(3)
        q = linear(x, to_q)
        fused = place_attention.takes(q, x)
        if not fused:  # before there is k, so that only one of them stands beside its softmax
            q = _softmax(q, partial(_over_features, self.heads))
        k = linear(x, to_k)
        if not fused:
            k = _softmax(k, _over_places)
        context = self._by_head(place_attention.gathered(k, x) if fused else k.transpose(1, 2) @ x.to(k.dtype))
        values = context @ to_v.unflatten(0, (self.heads, HEAD_DIM)).transpose(1, 2)
        out = values @ (self.to_out.weight * HEAD_DIM**-0.5).unflatten(1, (self.heads, HEAD_DIM)).permute(1, 2, 0)
        read = partial(place_attention.read, heads=self.heads) if fused else torch.matmul
        return read(q, out.unflatten(1, (-1, HEAD_DIM)).transpose(0, 1).flatten(1, 2)) + self.to_out.bias

    def _by_head(self, x: Float[Tensor, "images inner channels"]) -> Float[Tensor, "heads images_x_32 channels"]:
        """Maps of a head are one matrix product of all images."""
        return x.unflatten(1, (self.heads, HEAD_DIM)).transpose(0, 1).flatten(1, 2)


def _softmax(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """In float32 at least. Its backward pass asks for its result and not for x: so the result is kept in the place of x; or x,
    where that is of half precision, and half as large."""
    return function(x) if x.dtype.itemsize >= torch.float32.itemsize else recomputed(function, x)


def _over_features(heads: int, q: Tensor) -> Tensor:
    """Of each head by itself."""
    return q.unflatten(-1, (heads, HEAD_DIM)).softmax(-1, torch.promote_types(q.dtype, torch.float32)).flatten(-2)


def _over_places(k: Tensor) -> Tensor:
    return k.softmax(1, torch.promote_types(k.dtype, torch.float32))
