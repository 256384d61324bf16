"""Gated DeltaNet: linear attention whose memory forgets, and replaces what it holds under a key."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.directions import CausalConv
from vdmbench.mixers.gated_norm import GatedRMSNorm
from vdmbench.mixers.heads import split_width
from vdmbench.mixers.mamba2 import HeadSteps
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.ops import gated_delta_scan


class GatedDeltaNet(Mixer):
    """The Gated DeltaNet block (Yang et al. 2024, arXiv 2412.06464, sec. 3.4 and fig. 1), forward in time.

    Queries, keys and values pass a causal convolution and SiLU, queries and keys are brought to length 1, decay is that of
    Mamba-2, beta a sigmoid, and each head's output a gated norm. Keys and values have one width.

    Args:
        channels: width of input and output.
        expand: inner width over channels; it widens the heads, whose number follows channels / head_dim.
        head_dim: features of a head at ``expand`` 1.
        conv: frames under the causal convolution.
        backend: kernel of :func:`vdmbench.ops.gated_delta_scan`.

    Raises:
        ValueError: a size that does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        expand: float = 1.0,
        head_dim: int = 32,
        conv: int = 4,
        backend: Literal["auto", "reference", "chunked"] = "auto",
    ) -> None:
        super().__init__(channels, causal=True)
        self.heads, self.dim = split_width(expand * channels, channels, head_dim)
        self.inner_width = inner = self.heads * self.dim
        self.backend = backend
        self.to_qkv = nn.Linear(channels, 3 * inner, bias=False)
        self.to_gate = nn.Linear(channels, inner, bias=False)
        self.to_dt_and_beta = nn.Linear(channels, 2 * self.heads, bias=False)
        self.conv = CausalConv(3 * inner, conv)
        self.steps = HeadSteps(self.heads)
        self.norm = GatedRMSNorm(self.dim, gate_first=False)
        self.out = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        q, k, v = self._heads(self.conv(self.to_qkv(x), reverse=False))
        y = gated_delta_scan(q, k, v, *self._decay_and_beta(x), backend=self.backend)
        return self._leave(y, x)

    def initial_state(self, batch: int) -> State:
        """Frames under the convolution, and (batch, heads, value_dim, key_dim) in float32 at least."""
        wide = torch.promote_types(self.norm.weight.dtype, torch.float32)
        S = torch.zeros(batch, self.heads, self.dim, self.dim, dtype=wide, device=self.norm.weight.device)
        return self.conv.initial_state(batch), S

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        past, S = state
        convolved, past = self.conv.step(self.to_qkv(x), past)
        q, k, v = self._heads(convolved)
        log_decay, beta = self._decay_and_beta(x)
        S = log_decay.exp()[..., None, None] * S
        S = S + (beta[..., None] * (v - torch.einsum("bhvk,bhk->bhv", S, k)))[..., None] * k[..., None, :]
        return self._leave(torch.einsum("bhvk,bhk->bhv", S, q).to(x.dtype), x), (past, S)

    def _heads(self, convolved: Float[Tensor, "... qkv"]) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = F.silu(convolved).unflatten(-1, (3, self.heads, self.dim)).unbind(-3)
        return F.normalize(q, dim=-1) * self.dim**-0.5, F.normalize(k, dim=-1), v

    def _decay_and_beta(self, x: Float[Tensor, "... channels"]) -> tuple[Tensor, Tensor]:
        dt, beta = self.to_dt_and_beta(x).chunk(2, -1)
        wide = torch.promote_types(dt.dtype, torch.float32)
        return self.steps.A * F.softplus(dt.to(wide) + self.steps.dt_bias), beta.sigmoid()

    def _leave(self, y: Float[Tensor, "... heads dim"], x: Float[Tensor, "... channels"]) -> Float[Tensor, "... channels"]:
        return self.out(self.norm(y, self.to_gate(x).unflatten(-1, (self.heads, self.dim))).flatten(-2))

    def state_size(self, frames: int) -> int:
        return self.conv.state_size + self.inner_width * self.dim

    def flops(self, frames: int) -> int:
        """For each number of the state: its decay, S k, the write and S q, 7; for each head softplus(dt + bias) and two
        exponentials, 7."""
        conv = flops.depthwise_conv(frames, *self.conv.weight.shape)
        scan = frames * (7 * self.inner_width * self.dim + 7 * self.heads)
        return flops.linear_maps(self, frames) + conv + scan
