"""The built-in text encoder: a small transformer on the bytes of a caption, trained with the network that reads it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vdmbench.mixers.weight_decay import undecayed
from vdmbench.ops.recompute import recomputed

BEGIN, PADDING = 256, 257
"""After the 256 bytes: what every text begins with, and what fills the places behind it."""
HEAD_DIM = 16


def bytes_of(texts: list[str], length: int) -> Int[Tensor, "texts length"]:
    """UTF-8 bytes of each text after ``BEGIN``, cut off or padded to ``length``."""
    rows = [[BEGIN, *text.encode()][:length] for text in texts]
    return torch.tensor([row + [PADDING] * (length - len(row)) for row in rows], dtype=torch.int64)


class ByteBlock(nn.Module):
    """Attention among a text's bytes, then a perceptron, each on a norm of the residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Float[Tensor, "texts length width"], mask: Bool[Tensor, "texts length"]
    ) -> Float[Tensor, "texts length width"]:
        qkv = self.to_qkv(_normed(self.norm1, x))
        heads = qkv.unflatten(-1, (3, -1, HEAD_DIM)).movedim(1, 3)  # (texts, 3, heads, length, head_dim)
        q, k, v = heads.unbind(1)
        # Vaswani et al. 2017 (arXiv 1706.03762), sec. 3.2.1; what is masked is no key.
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.to_out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(recomputed(F.gelu, self.up(_normed(self.norm2, x))))


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    normed: Tensor = recomputed(F.layer_norm, x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return normed


class ByteEncoder(nn.Module):
    """Bytes and learned positions through ``depth`` blocks. What fills a text up changes none of its tokens.

    Args:
        width: features of a byte; a multiple of 16.
        depth: blocks in a row.
        length: bytes of a text, ``BEGIN`` among them.
    """

    def __init__(self, *, width: int, depth: int, length: int) -> None:
        super().__init__()
        if width < HEAD_DIM or width % HEAD_DIM:
            raise ValueError(f"width must be a multiple of {HEAD_DIM}, got {width}")
        self.length, self.features = length, width
        self.embedding = nn.Embedding(PADDING + 1, width)
        self.positions = undecayed(torch.empty(length, width))
        nn.init.normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(ByteBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, texts: Int[Tensor, "texts length"]
    ) -> tuple[Float[Tensor, "texts length width"], Bool[Tensor, "texts length"]]:
        """Tokens, and which of them count."""
        mask = texts != PADDING
        x = self.embedding(texts) + self.positions[: texts.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x), mask
