"""Softmax attention to the frames nearby."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import flops
from vdmbench.mixers.heads import Heads
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.mixers.rotary import Rotary, rotated_features
from vdmbench.ops import sliding_attention
from vdmbench.ops.recompute import recomputed


class SlidingAttention(Mixer):
    """softmax(q k^T / sqrt(head_dim)) v over frames at most ``window`` away (Beltagy et al. 2020, arXiv 2004.05150, sec. 3.1).

    Args:
        channels: width of input and output.
        expand: inner width over channels; see :class:`~vdmbench.mixers.heads.Heads`.
        head_dim: features of a head; None: see :class:`~vdmbench.mixers.heads.Heads`.
        heads: number of heads at every width, or None to follow the channels.
        window: largest distance of two frames that see each other.
        rotary: rotate queries and keys by their frame.
        causal: of the frames in its window a frame sees itself and the earlier ones.
        backend: kernel of :func:`vdmbench.ops.sliding_attention`.

    Raises:
        ValueError: sizes that do not fit; see :class:`Heads` and :class:`Rotary`.
    """

    def __init__(
        self,
        channels: int,
        *,
        expand: float = 1.0,
        head_dim: int | None = None,
        heads: int | None = None,
        window: int = 16,
        rotary: bool = True,
        causal: bool = False,
        backend: Literal["auto", "blocks", "sdpa", "flex", "math"] = "auto",
    ) -> None:
        super().__init__(channels, causal=causal)
        if window < 1:
            raise ValueError(f"window must be at least 1 frame, got {window}")
        self.heads = Heads(channels, expand=expand, head_dim=head_dim, heads=heads)
        self.inner_width = self.heads.inner
        self.rotary = Rotary(self.heads.dim) if rotary else None
        self.window, self.backend = window, backend

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        q, k, v = self.heads.split(x)
        if self.rotary is not None:
            q, k = recomputed(self.rotary, q), recomputed(self.rotary, k)
        return self.heads.join(sliding_attention(q, k, v, window=self.window, causal=self.causal, backend=self.backend))

    def initial_state(self, batch: int) -> State:
        """Keys, not rotated yet, and values of no frame."""
        return self.state_after(batch, 0)

    def state_after(self, batch: int, frames: int) -> State:
        if not self.causal:
            raise self._no_steps()
        weight, kept = self.heads.to_out.weight, min(frames, self.window)
        keys, values = (weight.new_zeros(batch, self.heads.count, kept, self.heads.dim) for _ in range(2))
        return keys, values

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        q, k, v = self.heads.split(x[:, None])
        keys, values = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)
        seen = keys
        if self.rotary is not None:  # a score depends on the distance alone, so frames are numbered from the window's first
            q, seen = self.rotary(q, first=keys.shape[2] - 1), self.rotary(keys)
        mixed = F.scaled_dot_product_attention(q, seen, values)
        return self.heads.join(mixed)[:, 0], (keys[:, :, -self.window :], values[:, :, -self.window :])

    def state_size(self, frames: int) -> int:
        """Keys and values of the frames that the next one sees."""
        return 2 * min(frames, self.window) * self.heads.inner

    def flops(self, frames: int) -> int:
        """Of the pairs within the window, whatever the kernel computes."""
        reach = min(self.window, frames - 1)
        earlier = reach * (reach + 1) // 2 + (frames - 1 - reach) * reach  # pairs of a frame and an earlier one
        pairs = frames + (earlier if self.causal else 2 * earlier)
        scores_and_values = 2 * flops.matmul(pairs, self.heads.inner, 1)
        rotary = 0 if self.rotary is None else flops.rotary(frames, self.heads.count * rotated_features(self.heads.dim))
        return flops.linear_maps(self.heads, frames) + scores_and_values + flops.softmax(pairs * self.heads.count) + rotary
