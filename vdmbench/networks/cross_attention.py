"""Attention from a clip's tokens to those of a condition."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """softmax(q k^T / sqrt(head_dim)) v, queries of the clip, keys and values of the condition (arXiv 1706.03762, sec. 3.2.3).

    Its last map starts at zero, so that a block starts without it (PixArt-alpha: Chen et al. 2023, arXiv 2310.00426, sec. 2.3).

    Args:
        heads: about ``channels / head_dim`` of them, whose features are a multiple of 8.
    """

    def __init__(self, channels: int, *, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(
        self,
        x: Float[Tensor, "batch frames height width channels"],
        tokens: Float[Tensor, "batch tokens channels"],
        mask: Bool[Tensor, "batch tokens"] | None,
    ) -> Float[Tensor, "batch frames height width channels"]:
        """``mask`` is True for the tokens that count; at least one of each clip must."""
        places = (self.to_q(x.flatten(1, 3)), *self.to_kv(tokens).chunk(2, -1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in places)  # (batch, heads, places, head_dim)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, None, None])
        return self.to_out(mixed.transpose(1, 2).flatten(-2)).view(x.shape)


class NothingToken(nn.Module):
    """A learned token before those of the condition: what a clip without condition, or one that masks all, attends to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(channels))
        nn.init.uniform_(self.token, -0.02, 0.02)

    def forward(
        self, batch: int, tokens: Float[Tensor, "batch tokens channels"] | None, mask: Bool[Tensor, "batch tokens"] | None
    ) -> tuple[Float[Tensor, "batch more channels"], Bool[Tensor, "batch more"] | None]:
        first = self.token.expand(batch, 1, -1)
        if tokens is None:
            return first, None
        joined = torch.cat([first, tokens.to(first.dtype)], 1)
        return joined, None if mask is None else F.pad(mask, (1, 0), value=True)
