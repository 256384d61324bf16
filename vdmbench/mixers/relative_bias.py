"""A learned bias on attention scores that depends on the distance between two frames."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vdmbench.mixers.weight_decay import undecayed


class RelativeBias(nn.Module):
    """One scalar a head and bucket of distances (Raffel et al. 2020, arXiv 1910.10683, sec. 2.1).

    Half of a direction's buckets hold one distance each; the other half grow logarithmically up to ``max_distance``, and the
    last one holds all distances beyond. Past and future have buckets of their own; where attention is causal the past
    has all of them.

    Args:
        max_distance: distance in frames from which on frames are told apart no more; the clip's length or longer.

    Raises:
        ValueError: too few buckets, or a maximum distance inside the range of the one-distance buckets.
    """

    def __init__(self, heads: int, *, buckets: int = 32, max_distance: int = 1024, causal: bool = False) -> None:
        super().__init__()
        self.buckets, self.max_distance, self.causal = buckets, max_distance, causal
        self.exact = self._a_side // 2
        if buckets < 4 or buckets % 4:
            raise ValueError(f"a relative bias needs a multiple of 4 buckets, got {buckets}")
        if max_distance <= self.exact:
            raise ValueError(f"max_distance must be over {self.exact}, where the logarithmic buckets begin, got {max_distance}")
        self.table = undecayed(torch.randn(buckets, heads))  # N(0, 1), as published

    @property
    def heads(self) -> int:
        return self.table.shape[1]

    @property
    def _a_side(self) -> int:
        """Buckets of one direction of time."""
        return self.buckets if self.causal else self.buckets // 2

    def forward(self, frames: int) -> Float[Tensor, "heads {frames} {frames}"]:
        """Bias of query frame (rows) on key frame (columns)."""
        return self.table[self._bucket_indices(frames)].permute(2, 0, 1)

    def covers(self, frames: int, *, trained: int) -> bool:
        """Whether ``frames`` frames read only entries that training on ``trained`` frames reaches; others keep their first,
        random values."""
        furthest, learned = self._buckets(torch.tensor([frames - 1, trained - 1])).tolist()
        return furthest <= learned

    def _bucket_indices(self, frames: int) -> Int[Tensor, "{frames} {frames}"]:
        frame = torch.arange(frames, device=self.table.device)
        ahead = frame[None, :] - frame[:, None]  # how far the key lies after the query
        bucket = self._buckets((-ahead).clamp(min=0) if self.causal else ahead.abs())
        return bucket if self.causal else bucket + self._a_side * (ahead > 0)

    def _buckets(self, distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Of one direction of time."""
        octaves = torch.log(distance.clamp(min=1).float() / self.exact) / math.log(self.max_distance / self.exact)
        logarithmic = self.exact + (octaves * (self._a_side - self.exact)).long()
        return torch.where(distance < self.exact, distance, logarithmic.clamp(max=self._a_side - 1))
