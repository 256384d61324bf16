"""S4D: a diagonal complex linear time-invariant state-space model, computed as a convolution."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.directions import Core, gated
from vdmbench.mixers.mixer import State
from vdmbench.mixers.ssm_blocks import SSMMixer
from vdmbench.mixers.weight_decay import undecayed
from vdmbench.ops import long_convolution, s4d_kernel
from vdmbench.ops.recompute import recomputed

DT_RANGE = (1e-3, 1e-1)
"""Initial step sizes, log-uniform."""


class S4DCore(Core):
    """x'(t) = A x + u, y = 2 Re(C x) + D u for each channel, by its impulse response (Gu et al. 2022,
    arXiv 2206.11893, sec. 3).

    A starts as S4D-Lin, A_n = -1/2 + i pi n (eq. 9), and its real part stays negative through an exponential.

    Args:
        state: N real numbers a channel, held as N / 2 modes, one of each conjugate pair.

    Raises:
        ValueError: ``state`` is odd or not positive.
    """

    glu_activation = nn.GELU

    def __init__(self, channels: int, *, state: int) -> None:
        super().__init__()
        if state < 2 or state % 2:
            raise ValueError(f"s4d holds conjugate pairs of modes: state must be even and at least 2, got {state}")
        modes = state // 2
        low, high = map(math.log, DT_RANGE)
        self.log_dt = nn.Parameter(torch.empty(channels).uniform_(low, high))
        self.log_A_real = undecayed(torch.full((channels, modes), math.log(0.5)))
        self.A_imag = undecayed(math.pi * torch.arange(modes, dtype=torch.get_default_dtype()).repeat(channels, 1))
        self.C = nn.Parameter(torch.randn(channels, modes, 2) * 0.5**0.5)  # complex standard normal; (real, imaginary)
        self.D = nn.Parameter(torch.randn(channels))
        self.state_size = channels * state

    def forward(
        self,
        x: Float[Tensor, "batch frames channels"],
        *,
        gate: Float[Tensor, "batch frames channels"] | None = None,
        reverse: bool = False,
        delayed: bool = False,
    ) -> Float[Tensor, "batch frames channels"]:
        response = partial(_impulse_response, x.shape[1], delayed)
        kernel = recomputed(response, self.log_dt, self.log_A_real, self.A_imag, self.C, self.D)
        y = long_convolution(x, kernel, reverse=reverse)
        return y if gate is None else recomputed(gated, y, gate)

    def initial_state(self, batch: int) -> State:
        """Complex modes as (real, imaginary), (batch, channels, modes, 2), in float32 at least."""
        wide = torch.promote_types(self.C.dtype, torch.float32)
        return torch.zeros(batch, *self.C.shape, dtype=wide, device=self.C.device)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """The recurrence whose impulse response the kernel is: z_t = exp(dt A) z_{t-1} + u_t (Gu et al. 2022, eq. 2)."""
        assert isinstance(state, Tensor)
        A = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        step = torch.exp(self.log_dt)[:, None] * A
        z = torch.exp(step) * torch.view_as_complex(state) + x[..., None]
        y = 2 * (torch.view_as_complex(self.C) * torch.expm1(step) / A * z).sum(-1).real
        return (y + self.D * x).to(x.dtype), torch.view_as_real(z)

    def scan_flops(self, frames: int) -> int:
        """The convolution and D u; the kernel is computed once for all sites."""
        channels = len(self.D)
        return flops.fft_convolution(frames, channels) + 2 * frames * channels


def _impulse_response(
    frames: int, delayed: bool, log_dt: Tensor, log_A_real: Tensor, A_imag: Tensor, C: Tensor, D: Tensor
) -> Tensor:
    """What a frame gives to itself and to those after it (channels, frames): the state's response, delayed by one frame where
    asked for, and D to itself."""
    A = torch.complex(-torch.exp(log_A_real), A_imag)
    kernel = s4d_kernel(torch.exp(log_dt), A, torch.view_as_complex(C), frames)
    itself = D[:, None]
    if delayed:
        return torch.cat([itself, kernel[:, :-1]], 1)
    return torch.cat([kernel[:, :1] + itself, kernel[:, 1:]], 1)


class S4D(SSMMixer):
    """S4D in a block; its options are those of :class:`~vdmbench.mixers.ssm_blocks.SSMMixer`, ``state`` even."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, S4DCore, **options)
