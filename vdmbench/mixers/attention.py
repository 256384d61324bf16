"""Softmax attention over frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import flops
from vdmbench.mixers.heads import Heads
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.mixers.relative_bias import RelativeBias
from vdmbench.mixers.rotary import Rotary, rotated_features
from vdmbench.ops import attention
from vdmbench.ops.recompute import recomputed


class Attention(Mixer):
    """softmax(q k^T / sqrt(head_dim) + b) v over frames (Vaswani et al. 2017, arXiv 1706.03762, eq. 1).

    Args:
        channels: width of input and output.
        expand: inner width over channels; see :class:`~vdmbench.mixers.heads.Heads`.
        head_dim: features of a head; None: see :class:`~vdmbench.mixers.heads.Heads`.
        heads: number of heads at every width (the published form), or None to follow the channels.
        rotary: rotate queries and keys by their frame.
        relative_bias: add a learned bias by distance; kernels ``triton`` and ``blocks`` are for it.
        buckets: distances that the bias tells apart.
        max_distance: frames from which on the bias tells distances apart no more.
        causal: a frame attends to itself and to earlier ones.
        backend: kernel of :func:`vdmbench.ops.attention`.

    Raises:
        ValueError: sizes that do not fit; see :class:`Heads`, :class:`Rotary` and :class:`RelativeBias`.
    """

    rotary: Callable[..., Tensor] | None
    relative_bias: Callable[[int], Tensor] | None

    def __init__(
        self,
        channels: int,
        *,
        expand: float = 1.0,
        head_dim: int | None = None,
        heads: int | None = None,
        rotary: bool = True,
        relative_bias: bool = False,
        buckets: int = 32,
        max_distance: int = 1024,
        causal: bool = False,
        backend: Literal[
            "auto", "triton", "blocks", "numba", "math", "sdpa", "sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "xformers"
        ] = "auto",
    ) -> None:
        super().__init__(channels, causal=causal)
        if backend in ("triton", "blocks") and not relative_bias:
            raise ValueError(f"backend '{backend}' is for scores with a relative_bias: set it to true, or take 'sdpa'")
        self.heads = Heads(channels, expand=expand, head_dim=head_dim, heads=heads)
        self.inner_width = self.heads.inner
        self.rotary = Rotary(self.heads.dim) if rotary else None
        self.relative_bias = (
            RelativeBias(self.heads.count, buckets=buckets, max_distance=max_distance, causal=causal) if relative_bias else None
        )
        self.backend = backend

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        q, k, v = self.heads.split(x)
        rotate, bias = self.rotary, None
        if self.relative_bias is not None:  # made behind the rotation, so that they are never in memory together
            if rotate is not None:
                q, k, rotate = recomputed(rotate, q), recomputed(rotate, k), None
            bias = self.relative_bias(x.shape[1])
        mixed = attention(q, k, v, bias=bias, causal=self.causal, rotate=rotate, backend=self.backend)
        return self.heads.join(mixed)

    def initial_state(self, batch: int) -> State:
        """Keys and values of no frame yet."""
        return self.state_after(batch, 0)

    def state_after(self, batch: int, frames: int) -> State:
        if not self.causal:
            raise self._no_steps()
        weight, kept = self.heads.to_out.weight, frames
        keys, values = (weight.new_zeros(batch, self.heads.count, kept, self.heads.dim) for _ in range(2))
        return keys, values

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        keys, values = state
        now = keys.shape[2]
        q, k, v = self.heads.split(x[:, None])
        if self.rotary is not None:
            q, k = self.rotary(q, first=now), self.rotary(k, first=now)
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        bias = None if self.relative_bias is None else self.relative_bias(now + 1)[None, :, -1:].to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        return self.heads.join(mixed)[:, 0], (keys, values)

    def state_size(self, frames: int) -> int:
        """Keys and values of all frames."""
        return 2 * frames * self.heads.inner

    def flops(self, frames: int) -> int:
        pairs = frames * (frames + 1) // 2 if self.causal else frames * frames
        scores_and_values = 2 * flops.matmul(pairs, self.heads.inner, 1)
        softmax = flops.softmax(pairs * self.heads.count)
        rotary = 0 if self.rotary is None else flops.rotary(frames, self.heads.count * rotated_features(self.heads.dim))
        return flops.linear_maps(self.heads, frames) + scores_and_values + softmax + rotary
