"""Attention over frames at a cost that is linear in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import flops
from vdmbench.mixers.heads import Heads
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.mixers.rotary import Rotary, rotated_features
from vdmbench.ops import linear_attention
from vdmbench.ops.linear_attention import EPSILON, is_fused
from vdmbench.ops.recompute import from_inputs


class LinearAttention(Mixer):
    """phi(q) (phi(k)^T v) over frames, phi a softmax (Shen et al. 2018, arXiv 1812.01243) or a ReLU (Cai et al. 2022,
    arXiv 2205.14756).

    Rotary embedding belongs after the feature maps and in the numerator alone, where it turns the weight of a pair of
    frames by their distance and leaves the weights' sum positive (Su et al. 2021, arXiv 2104.09864, sec. 3.3, eq. 19):
    ``rotary="after-map"``. The published layer rotates first, ``"before-map"``, where a softmax or a ReLU undoes the
    dependence on distance, and scales its output by head_dim^-1/2, by which it starts that much smaller than softmax attention.

    Args:
        channels: width of input and output.
        expand: inner width over channels; see :class:`~vdmbench.mixers.heads.Heads`.
        head_dim: features of a head; None: see :class:`~vdmbench.mixers.heads.Heads`.
        heads: number of heads at every width (the published form), or None to follow the channels.
        feature_map: ``softmax`` or ``relu`` (with a normaliser).
        rotary: ``none``, ``before-map`` or ``after-map``.
        scale_output: multiply by head_dim^-1/2, as published.
        causal: a frame attends to itself and to earlier ones; with ``relu``, and no rotary before the map.

    Raises:
        ValueError: sizes that do not fit, a rotary that is none of the three, or maps that cannot be causal.
    """

    rotary: Callable[..., Tensor] | None

    def __init__(
        self,
        channels: int,
        *,
        expand: float = 1.0,
        head_dim: int | None = None,
        heads: int | None = None,
        feature_map: Literal["softmax", "relu"] = "softmax",
        rotary: Literal["none", "before-map", "after-map"] = "after-map",
        scale_output: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__(channels, causal=causal)
        if rotary not in ("none", "before-map", "after-map"):
            raise ValueError(f"rotary of linear attention must be 'none', 'before-map' or 'after-map', got '{rotary}'")
        if causal and feature_map != "relu":
            raise ValueError("the softmax of keys over frames sees all of them: causal takes feature_map 'relu'")
        if causal and rotary == "before-map":
            raise ValueError("rotated before the map, scores depend on the frame: causal takes rotary after-map or none")
        self.heads = Heads(channels, expand=expand, head_dim=head_dim, heads=heads)
        self.inner_width = self.heads.inner
        self.feature_map = feature_map
        self.rotary = None if rotary == "none" else Rotary(self.heads.dim)
        self.rotate_first = rotary == "before-map"
        self.scale = self.heads.dim**-0.5 if scale_output else 1.0

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        # Maps, normalisers and contexts follow from q, k and v for less than a linear map costs: they are made again.
        q, k, v = self.heads.split(x)
        if not self.rotate_first and is_fused(q, self.feature_map, self.rotary, self.causal):
            return self._leave(self._mixed(q, k, v))
        return self._leave(from_inputs(self._mixed, q, k, v))

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        after_map = self.rotary
        if self.rotary is not None and self.rotate_first:
            q, k, after_map = self.rotary(q), self.rotary(k), None
        return linear_attention(q, k, v, feature_map=self.feature_map, rotate=after_map, causal=self.causal)

    def initial_state(self, batch: int) -> State:
        """The context of each head, (batch, heads, value, key), and the sum of its keys, in float32 at least."""
        if not self.causal:
            raise self._no_steps()
        weight, heads, dim = self.heads.to_out.weight, self.heads.count, self.heads.dim
        wide = torch.promote_types(weight.dtype, torch.float32)
        return weight.new_zeros(batch, heads, dim, dim, dtype=wide), weight.new_zeros(batch, heads, dim, dtype=wide)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """Keys are held as seen from the present frame: the context turns back by one frame a step."""
        if not self.causal:
            raise self._no_steps()
        context, keys = state
        q, k, v = (part[:, :, 0].to(context.dtype) for part in self.heads.split(x[:, None]))
        q, k = q.relu(), k.relu()
        if self.rotary is not None:
            context = self.rotary(context.flatten(1, 2)[:, :, None], first=-1).view_as(context)
        context, keys = context + v[..., None] * k[..., None, :], keys + k
        weights = (q * keys).sum(-1, keepdim=True)
        mixed = (context * q[..., None, :]).sum(-1) / (weights + EPSILON)
        return self._leave(mixed[:, :, None].to(x.dtype))[:, 0], (context, keys)

    def _leave(self, mixed: Float[Tensor, "batch heads frames head_dim"]) -> Float[Tensor, "batch frames channels"]:
        return self.heads.join(mixed if self.scale == 1 else mixed * self.scale)

    def state_size(self, frames: int) -> int:
        """The context of each head, and the normaliser of its keys."""
        return self.heads.inner * (self.heads.dim + 1)

    def flops(self, frames: int) -> int:
        inner = self.heads.inner
        context_and_read = 2 * flops.matmul(frames, inner, self.heads.dim)
        if self.feature_map == "softmax":
            maps = flops.softmax(2 * frames * inner)
        else:  # the sum of the keys, the weight of each query, the division
            maps = frames * inner + flops.matmul(frames, inner, 1) + frames * inner
        rotary = 0 if self.rotary is None else flops.rotary(frames, self.heads.count * rotated_features(self.heads.dim))
        return flops.linear_maps(self.heads, frames) + context_and_read + maps + rotary
