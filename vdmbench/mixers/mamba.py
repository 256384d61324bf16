"""Mamba (S6): a diagonal state-space model whose step size, input map and output map follow the input."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers.directions import Core, Merge, delay
from vdmbench.mixers.mixer import State
from vdmbench.mixers.ssm_blocks import SSMMixer
from vdmbench.mixers.weight_decay import undecayed
from vdmbench.ops import Direction, bidirectional_selective_scan, selective_scan
from vdmbench.ops.linear import Linear, linear
from vdmbench.ops.recompute import recomputed

DT_RANGE = (1e-3, 1e-1)
"""Initial step sizes, log-uniform (Gu and Dao 2023, sec. 3.6)."""
CHANNELS_PER_DT_RANK = 16


def _delayed(reverse: bool, y: Tensor, D: Tensor, x: Tensor, gate: Tensor | None) -> Tensor:
    y = delay(y, reverse=reverse) + D.to(x.dtype) * x
    return y if gate is None else y * F.silu(gate)


class S6Core(Core):
    """The selective scan with its parameter maps (Gu and Dao 2023, arXiv 2312.00752, alg. 2; initialisation: sec. 3.6).

    Args:
        state: N numbers a channel.
        backend: kernel of :func:`vdmbench.ops.selective_scan`.

    Raises:
        ValueError: ``state`` is not positive.
    """

    glu_activation = nn.SiLU

    def __init__(self, channels: int, *, state: int, backend: str) -> None:
        super().__init__()
        if state < 1:
            raise ValueError(f"state must be at least 1, got {state}")
        rank = math.ceil(channels / CHANNELS_PER_DT_RANK)
        self.widths = (rank, state, state)
        self.backend = backend
        self.x_proj = Linear(channels, sum(self.widths), bias=False)  # to dt (low rank), B, C
        self.dt_proj = Linear(rank, channels)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        low, high = map(math.log, DT_RANGE)
        dt = torch.empty(channels).uniform_(low, high).exp()
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
        self.A_log = undecayed(torch.arange(1, state + 1, dtype=torch.get_default_dtype()).log().repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        self.state_size = channels * state

    def forward(
        self,
        x: Float[Tensor, "batch frames channels"],
        *,
        gate: Float[Tensor, "batch frames channels"] | None = None,
        reverse: bool = False,
        delayed: bool = False,
    ) -> Float[Tensor, "batch frames channels"]:
        x, dt, A, B, C, D, dt_bias = self._scanned(x)
        if not delayed:
            return selective_scan(x, dt, A, B, C, D, gate=gate, dt_bias=dt_bias, reverse=reverse, backend=self.backend)
        y = selective_scan(x, dt, A, B, C, dt_bias=dt_bias, reverse=reverse, backend=self.backend)
        return recomputed(partial(_delayed, reverse), y, self.D, x, gate)

    def both_ways(
        self,
        against: Core,
        past: Float[Tensor, "batch frames channels"],
        future: Float[Tensor, "batch frames channels"],
        *,
        gate: Float[Tensor, "batch frames channels"] | None,
        merge: Merge,
    ) -> Float[Tensor, "batch frames width"]:
        assert isinstance(against, S6Core)
        ahead, back = self._scanned(past), against._scanned(future)
        return bidirectional_selective_scan(ahead, back, gate=gate, merge=merge, backend=self.backend)

    def _scanned(self, x: Tensor) -> Direction:
        dt, B, C = self.x_proj(x).split(self.widths, -1)
        return Direction(
            x, recomputed(linear, dt, self.dt_proj.weight), -torch.exp(self.A_log), B, C, self.D, self.dt_proj.bias
        )

    def initial_state(self, batch: int) -> State:
        """(batch, channels, state), in float32 at least."""
        wide = torch.promote_types(self.A_log.dtype, torch.float32)
        return torch.zeros(batch, *self.A_log.shape, dtype=wide, device=self.A_log.device)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        assert isinstance(state, Tensor)
        _, dt, A, B, C, *_ = self._scanned(x)
        delta = F.softplus((dt + self.dt_proj.bias).to(state.dtype))[..., None]  # (batch, channels, 1)
        h = torch.exp(delta * A) * state + delta * B[:, None] * x[..., None]
        return ((h * C[:, None]).sum(-1) + self.D * x).to(x.dtype), h

    def scan_flops(self, frames: int) -> int:
        """For each number of the state: exp(delta A), (delta x) B, a h + b and C h, 7; for each channel: delta x, D x + y
        and softplus(dt + bias), 7."""
        channels, state = self.A_log.shape
        return frames * channels * (7 * state + 7)


class Mamba(SSMMixer):
    """S6 in a block; its options are those of :class:`~vdmbench.mixers.ssm_blocks.SSMMixer`, and

    Args:
        backend: kernel of the scan; ``auto`` takes the best that can run.
    """

    def __init__(
        self,
        channels: int,
        *,
        backend: Literal["auto", "reference", "numba", "mamba_ssm", "triton"] = "auto",
        **options: Any,
    ) -> None:
        super().__init__(channels, partial(S6Core, backend=backend), **options)
