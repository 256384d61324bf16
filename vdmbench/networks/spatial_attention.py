"""Attention between the places of one frame: linear on every level, full at the lowest resolution."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.networks.norms import ChannelNorm
from vdmbench.ops import attention, linear_attention
from vdmbench.ops.linear import Linear, linear

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
        qkv = self.to_qkv(x).flatten(1, 2).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, HEAD_DIM)).transpose(1, 2) for part in qkv)  # (images, heads, places, 32)
        mixed = linear_attention(q, k, v) if self.linear else attention(q, k, v)
        # The scale is applied to the map, which is smaller than the activations.
        weight = self.to_out.weight * HEAD_DIM**-0.5 if self.linear else self.to_out.weight
        return linear(mixed.transpose(1, 2).flatten(-2), weight, self.to_out.bias).unflatten(1, x.shape[1:3])
