"""The selective scan of Mamba (S6): a diagonal recurrence whose step size, input and output maps follow the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.direction import Direction
from vdmbench.ops.mamba_ssm_scan import mamba_ssm_missing, mamba_ssm_scan
from vdmbench.ops.numba_scan import numba_missing, numba_scan
from vdmbench.ops.triton_scan import DEVICES, refuses, triton_missing, triton_scan


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
    """Scan a selective state space over frames (Gu and Dao 2023, arXiv 2312.00752, eq. 2 and alg. 2).

    A is discretised by zero-order hold and B by Euler's rule, as Mamba's code does::

        delta_t = softplus(dt_t + dt_bias)
        h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t        from h_{-1} = 0
        y_t = (C_t . h_t + D x_t) silu(gate_t)

    The recurrence runs in float64 where x is float64, in float32 otherwise; y has the dtype of x. A non-finite input gives a
    non-finite output, as in any operator of PyTorch, so that a run which diverges is seen to. To find where,
    ``torch.autograd.set_detect_anomaly(True)`` makes the scan raise and name the argument.

    Args:
        A: negative for a state that decays.
        D: direct path from x to y; none where absent.
        gate: multiplies y after its SiLU; none where absent.
        dt_bias: added to dt.
        softplus: False takes delta = dt + dt_bias.
        reverse: scan from the last frame to the first; equals flip over frames, scan, flip.
        backend: ``triton`` (CUDA), ``numba`` (CPU), ``reference`` (a loop over frames, anywhere, differentiable twice), or
            ``auto``, the first of these that can run; by name alone ``mamba_ssm`` (CUDA; the kernel of that package).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown or cannot run.
    """
    direction = Direction(x, dt, A, B, C, D, dt_bias)
    direction.check("selective_scan", gate)
    y: Tensor = compute("selective_scan", backend, x, direction, gate, softplus, reverse)
    return y


def reference_scan(direction: Direction, gate: Tensor | None, softplus: bool, reverse: bool) -> Tensor:
    """The definition, as a loop over frames."""
    x, dt, A, B, C, D, dt_bias = direction
    wide = torch.promote_types(x.dtype, torch.float32)
    inputs, A, B, C = x.to(wide), A.to(wide), B.to(wide), C.to(wide)
    delta = dt.to(wide) if dt_bias is None else dt.to(wide) + dt_bias.to(wide)
    if softplus:
        delta = F.softplus(delta)
    decay = torch.exp(delta[..., None] * A)  # (batch, frames, channels, state)
    drive = (delta * inputs)[..., None] * B[:, :, None]
    frames = list(zip(decay.unbind(1), drive.unbind(1), C.unbind(1), strict=True))  # indexing [:, t] makes backward quadratic
    h = torch.zeros_like(drive[:, 0])
    outputs = []
    for decay_t, drive_t, C_t in reversed(frames) if reverse else frames:
        h = decay_t * h + drive_t
        outputs.append(torch.einsum("bcn,bn->bc", h, C_t))
    y = torch.stack(outputs[::-1] if reverse else outputs, 1)
    if D is not None:
        y = y + D.to(wide) * inputs
    if gate is not None:
        y = y * F.silu(gate.to(wide))
    return y.to(x.dtype)


def _numba(direction: Direction, gate: Tensor | None, softplus: bool, reverse: bool) -> Tensor:
    return numba_scan(direction, None, gate, "single", softplus, reverse)


def _triton(direction: Direction, gate: Tensor | None, softplus: bool, reverse: bool) -> Tensor:
    return triton_scan(direction, None, gate, "single", softplus, reverse)


def _triton_refuses(direction: Direction, gate: Tensor | None, softplus: bool, reverse: bool) -> str | None:
    return refuses(*direction, gate)


declare(
    "selective_scan",
    Backend("triton", _triton, DEVICES, triton_missing, package="triton", refuses=_triton_refuses),
    Backend("numba", _numba, ("cpu",), numba_missing),
    Backend("mamba_ssm", mamba_ssm_scan, ("cuda",), mamba_ssm_missing, by_name_only=True, package="mamba-ssm"),
    Backend("reference", reference_scan),
)
