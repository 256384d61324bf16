"""Projections of attention, softmax or linear: channels to queries, keys and values of several heads, and back."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers.mixer import GRANULARITY
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputed


def split_width(inner: float, usual: float, head_dim: int, *, groups: int = 1) -> tuple[int, int]:
    """Number of heads, and features of each, for an inner width near ``inner``.

    About ``usual / head_dim`` heads, whatever ``inner`` is, and a multiple of ``groups``; their features are a multiple of 8,
    for which fused kernels exist.
    """
    if inner <= 0 or head_dim < 1:
        raise ValueError(f"expand and head_dim must be positive, got an inner width of {inner:g} and head_dim {head_dim}")
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    count = max(1, int(usual / head_dim / groups + 0.5)) * groups
    return count, max(1, int(inner / count / GRANULARITY + 0.5)) * GRANULARITY


class Heads(nn.Module):
    """Linear maps without bias into ``count`` heads of ``dim`` features each, and out of them.

    The inner width ``count * dim`` follows ``expand * channels``: about ``channels / head_dim`` heads, whose features are
    rounded to a multiple of 8, for which fused kernels exist. With ``heads`` given it is ``heads * head_dim`` at any
    width of the layer, as published.

    Args:
        expand: inner width over channels.
        head_dim: features of a head; of a head at ``expand`` 1 where ``heads`` is None.
        heads: fixed number of heads, or None to follow the channels.

    Raises:
        ValueError: a size is not positive, or ``expand`` is given beside ``heads``.
    """

    def __init__(self, channels: int, *, expand: float, head_dim: int, heads: int | None) -> None:
        super().__init__()
        if head_dim < 1 or expand <= 0 or (heads is not None and heads < 1):
            raise ValueError(f"expand, head_dim and heads must be positive, got {expand}, {head_dim} and {heads}")
        if heads is not None and expand != 1:
            raise ValueError(f"heads {heads} fixes the inner width at heads * head_dim: leave expand at 1, got {expand}")
        if heads is None:
            self.count, self.dim = split_width(expand * channels, channels, head_dim)
        else:
            self.count, self.dim = heads, head_dim
        self.inner = self.count * self.dim
        self.to_qkv = Linear(channels, 3 * self.inner, bias=False)
        self.to_out = Linear(self.inner, channels, bias=False)

    def split(self, x: Float[Tensor, "batch frames channels"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (batch, heads, frames, head_dim)."""
        q, k, v = (part.unflatten(-1, (self.count, self.dim)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, -1))
        return q, k, v

    def join(self, mixed: Float[Tensor, "batch heads frames head_dim"]) -> Float[Tensor, "batch frames channels"]:
        """Heads side by side, mapped to the channels."""
        return self.to_out(recomputed(_side_by_side, mixed))


def _side_by_side(mixed: Tensor) -> Tensor:
    return mixed.transpose(1, 2).flatten(-2)
