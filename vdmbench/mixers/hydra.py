"""Hydra: both directions of time as one quasi-separable matrix."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.gated_norm import GatedRMSNorm
from vdmbench.mixers.heads import head_width, split_width
from vdmbench.mixers.mamba2 import EXPAND, HeadSteps, ssd_flops
from vdmbench.mixers.mixer import Mixer
from vdmbench.mixers.short_conv import ConvAlignment, ShortConv
from vdmbench.ops import Side, quasi_separable_scan
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputed

A_RANGE = (1.0, 1.0)
"""Initial decay: A = 1 in every head (Hwang et al. 2024, code)."""


class Hydra(Mixer):
    """The Hydra block (Hwang et al. 2024, arXiv 2407.09941, sec. 3.3).

    Both directions share x, A and the bias of dt, and each has its own B, C and dt; the diagonal follows the input, and a norm
    over all features, whatever the groups, stands before the gate.

    Args:
        channels: width of input and output.
        expand: inner width over channels; it widens the heads, whose number follows 2 * channels / head_dim.
        head_dim: features of a head at ``expand`` 2; None: 64, and fewer where that would leave one head.
        state: N numbers a channel and direction.
        groups: sets of B and C in each direction that the heads are dealt to; their number is a multiple of it.
        gate: multiply by a gate after the norm.
        conv: frames under the convolution, which both directions share.
        conv_alignment: ``centred`` on the present frame, where ``conv`` is odd, or ``causal``.
        backend: kernel of :func:`vdmbench.ops.quasi_separable_scan`.

    Raises:
        ValueError: a size that does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        expand: float = EXPAND,
        head_dim: int | None = None,
        state: int = 64,
        groups: int = 1,
        gate: bool = True,
        conv: int = 7,
        conv_alignment: ConvAlignment = "centred",
        backend: Literal["auto", "reference", "chunked", "numba", "mamba_ssm", "triton"] = "auto",
    ) -> None:
        super().__init__(channels, causal=False)
        if state < 1:
            raise ValueError(f"state must be at least 1, got {state}")
        self.heads, dim = split_width(
            expand * channels, EXPAND * channels, head_dim or head_width(EXPAND * channels, 64), groups=groups
        )
        self.inner_width = inner = self.heads * dim
        self.state, self.groups, self.backend = state, groups, backend
        self.maps = 4 * groups * state  # B and C of the past, B and C of the future, of each group
        self.gate_width = inner if gate else 0
        self.to_inner = Linear(channels, self.gate_width + inner + self.maps + 2 * self.heads, bias=False)
        self.conv = ShortConv(inner + self.maps, conv, alignment=conv_alignment)
        self.steps = HeadSteps(self.heads, A_range=A_RANGE)
        self.D = nn.Parameter(torch.ones(self.heads))
        self.to_diagonal = Linear(inner, self.heads, bias=False)
        self.norm = GatedRMSNorm(inner, group=inner, gate_first=False)
        self.out = Linear(inner, channels, bias=False)

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        """Every frame from those before and behind it, by one quasi-separable matrix a head."""
        gate, convolved, dt_past, dt_future = self.to_inner(x).split(
            (self.gate_width, self.inner_width + self.maps, self.heads, self.heads), -1
        )
        x, maps = self.conv(convolved).split((self.inner_width, self.maps), -1)
        B_past, C_past, B_future, C_future = maps.unflatten(-1, (4, self.groups, self.state)).unbind(-3)
        past, future = Side(dt_past, B_past, C_past), Side(dt_future, B_future, C_future)
        y = quasi_separable_scan(
            x.unflatten(-1, (self.heads, -1)),
            past,
            future,
            self.steps.A,
            self.steps.dt_bias,
            self.to_diagonal(recomputed(Tensor.contiguous, x)) + self.D,
            backend=self.backend,
        )
        return self.out(self.norm(y.flatten(2), gate if self.gate_width else None))

    def state_size(self, frames: int) -> int:
        """Of both directions' scans."""
        return 2 * self.inner_width * self.state

    def flops(self, frames: int) -> int:
        conv = flops.depthwise_conv(frames, *self.conv.weight.shape)
        diagonal_and_sums = 3 * frames * self.inner_width
        scans = 2 * ssd_flops(frames, self.heads, self.inner_width, self.state)
        return flops.linear_maps(self, frames) + conv + scans + diagonal_and_sums
