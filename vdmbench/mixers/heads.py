"""Projections of attention, softmax or linear: channels to queries, keys and values of several heads, and back."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers.mixer import GRANULARITY
from vdmbench.ops.linear import Linear, linear
from vdmbench.ops.recompute import recomputed

LOW_RANK = 4
"""How many times as wide as its input each of queries, keys and values is, from where on they are not kept."""


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


HEAD_DIM = 32
"""Features of an attention head where nothing else is said, at ``expand`` 1."""
NARROW = 64
"""Channels up to which attention has channels / 8 heads, as the published network's first level has."""
CHANNELS_PER_HEAD = 8


def narrow_heads(inner: float, channels: int) -> tuple[int, int]:
    """Number of heads, and features of each, of attention on at most ``NARROW`` channels, for an inner width near ``inner``.

    ``channels / 8`` heads and at least two (Oshima et al. 2024 have base_channels / 8), or the nearest number that divides the
    inner width into equal heads of a multiple of 8 features; an inner width of 8 is two heads of 4. A head's width would else
    be all there is, and one head attends to one thing.
    """
    if inner <= 0:
        raise ValueError(f"expand must be positive, got an inner width of {inner:g}")
    units = max(1, int(inner / GRANULARITY + 0.5))
    if units == 1:
        return 2, GRANULARITY // 2
    wanted = max(2, int(channels / CHANNELS_PER_HEAD + 0.5))
    count = min((each for each in range(2, units + 1) if units % each == 0), key=lambda each: abs(each - wanted))
    return count, units // count * GRANULARITY


def head_width(usual: float, most: int) -> int:
    """Features of a head of a recurrence: ``most``, or less where that would leave one head of an inner width of ``usual``."""
    return min(most, max(GRANULARITY, int(usual / 2 / GRANULARITY) * GRANULARITY))


class Heads(nn.Module):
    """Linear maps without bias into ``count`` heads of ``dim`` features each, and out of them.

    The inner width ``count * dim`` follows ``expand * channels``: about ``channels / head_dim`` heads, whose features are
    rounded to a multiple of 8, for which fused kernels exist. With ``heads`` given it is ``heads * head_dim`` at any
    width of the layer, as published.

    Args:
        expand: inner width over channels.
        head_dim: features of a head; of a head at ``expand`` 1 where ``heads`` is None. None: 32, and on up to 64 channels
            what :func:`narrow_heads` gives.
        heads: fixed number of heads, or None to follow the channels.

    Raises:
        ValueError: a size is not positive, or ``expand`` is given beside ``heads``.
    """

    def __init__(self, channels: int, *, expand: float, head_dim: int | None, heads: int | None) -> None:
        super().__init__()
        if (head_dim is not None and head_dim < 1) or expand <= 0 or (heads is not None and heads < 1):
            raise ValueError(f"expand, head_dim and heads must be positive, got {expand}, {head_dim} and {heads}")
        if heads is not None and expand != 1:
            raise ValueError(f"heads {heads} fixes the inner width at heads * head_dim: leave expand at 1, got {expand}")
        if heads is not None:
            self.count, self.dim = heads, head_dim or HEAD_DIM
        elif head_dim is None and channels <= NARROW:
            self.count, self.dim = narrow_heads(expand * channels, channels)
        else:
            self.count, self.dim = split_width(expand * channels, channels, head_dim or HEAD_DIM)
        self.inner = self.count * self.dim
        self.to_qkv = Linear(channels, 3 * self.inner, bias=False)
        self.to_out = Linear(self.inner, channels, bias=False)

    def split(self, x: Float[Tensor, "batch frames channels"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (batch, heads, frames, head_dim).

        Where they are many times as wide as x, the map is one of low rank: it costs little beside what it makes, and is
        computed again in the backward pass.
        """
        qkv = recomputed(linear, x, self.to_qkv.weight) if self.inner >= LOW_RANK * x.shape[-1] else self.to_qkv(x)
        q, k, v = (part.unflatten(-1, (self.count, self.dim)).transpose(1, 2) for part in qkv.chunk(3, -1))
        return q, k, v

    def join(self, mixed: Float[Tensor, "batch heads frames head_dim"]) -> Float[Tensor, "batch frames channels"]:
        """Heads side by side, mapped to the channels."""
        return self.to_out(recomputed(_side_by_side, mixed))


def _side_by_side(mixed: Tensor) -> Tensor:
    return mixed.transpose(1, 2).flatten(-2).contiguous()  # as the map takes it: a copy made there would be kept
