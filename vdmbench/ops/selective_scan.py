"""The selective scan of Mamba (S6): a diagonal recurrence whose step size, input and output maps follow the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, choose, declare


def selective_scan(
    x: Float[Tensor, "batch frames channels"],
    dt: Float[Tensor, "batch frames channels"],
    A: Float[Tensor, "channels state"],
    B: Float[Tensor, "batch frames state"],
    C: Float[Tensor, "batch frames state"],
    D: Float[Tensor, " channels"] | None = None,
    *,
    gate: Float[Tensor, "batch frames channels"] | None = None,
    dt_bias: Float[Tensor, " channels"] | None = None,
    softplus: bool = True,
    reverse: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "batch frames channels"]:
    """Scan a selective state space over frames (Gu and Dao 2023, arXiv 2312.00752, alg. 2; A by zero-order hold, B by Euler).

        delta_t = softplus(dt_t + dt_bias)
        h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t,   h_{-1} = 0
        y_t = (C_t . h_t + D x_t) silu(gate_t)
    """
    return choose("selective_scan", backend, x).run(x, dt, A, B, C, D, gate, dt_bias, softplus, reverse)


def _reference(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None,
    gate: Tensor | None, dt_bias: Tensor | None, softplus: bool, reverse: bool,
) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    A, B, C = A.to(wide), B.to(wide), C.to(wide)
    delta = dt.to(wide) if dt_bias is None else dt.to(wide) + dt_bias.to(wide)
    if softplus:
        delta = F.softplus(delta)
    decay = torch.exp(delta[..., None] * A)  # (batch, frames, channels, state)
    drive = (delta * x.to(wide))[..., None] * B[:, :, None]
    h = torch.zeros_like(drive[:, 0])
    states = []
    steps = list(zip(decay.unbind(1), drive.unbind(1), strict=True))  # indexing [:, t] would make the backward quadratic
    for a, b in reversed(steps) if reverse else steps:
        h = a * h + b
        states.append(h)
    if reverse:
        states.reverse()
    y = torch.einsum("bfcn,bfn->bfc", torch.stack(states, 1), C)
    if D is not None:
        y = y + D.to(wide) * x.to(wide)
    if gate is not None:
        y = y * F.silu(gate.to(wide))
    return y.to(x.dtype)


declare("selective_scan", Backend("reference", _reference))
