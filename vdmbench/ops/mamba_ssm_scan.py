"""The selective scan by the CUDA kernel of the mamba-ssm package, as a PyTorch operator.

The kernel takes (batch, channels, frames), so inputs are transposed on the way in and out, and it has no reverse, so frames
are flipped. An operator of ``torch.library`` with a fake form, so that memory is planned where the package is absent; it saves
what the package's own autograd function saves.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vdmbench.ops.direction import Direction

_INSTALL = "pip install --no-build-isolation mamba-ssm (compiles for many minutes, against the torch that is installed)"
_FRAMES_A_PASS = 2048
"""Frames per pass of the kernel; it keeps two numbers a state, in float32, for each pass."""


@cache
def mamba_ssm_missing() -> str | None:
    """None where the extension ``selective_scan_cuda`` imports, else how to install it.

    The extension is what is looked for, not the package: mamba-ssm can be installed without it.
    """
    try:
        importlib.import_module("selective_scan_cuda")
    except ImportError as error:
        return f"the extension selective_scan_cuda of mamba-ssm does not import ({error}); {_INSTALL}"
    return None


def mamba_ssm_scan(direction: Direction, gate: Tensor | None, softplus: bool, reverse: bool) -> Tensor:
    """One scan, as :func:`vdmbench.ops.selective_scan`."""
    x, dt, A, B, C, D, dt_bias = direction

    def channels_first(tensor: Tensor) -> Tensor:
        return (tensor.flip(1) if reverse else tensor).to(x.dtype).transpose(1, 2).contiguous()

    def parameter(tensor: Tensor | None) -> Tensor | None:  # the kernel takes parameters in float32 alone
        return None if tensor is None else tensor.float().contiguous()

    y = torch.ops.vdmbench.mamba_ssm_scan(
        channels_first(x),
        channels_first(dt),
        A.float().contiguous(),
        channels_first(B)[:, None],
        channels_first(C)[:, None],
        parameter(D),
        None if gate is None else channels_first(gate),
        parameter(dt_bias),
        softplus,
    )[0].transpose(1, 2)
    return y.flip(1) if reverse else y


_INPUTS = "Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? gate, Tensor? dt_bias"
torch.library.define("vdmbench::mamba_ssm_scan", f"({_INPUTS}, bool softplus) -> Tensor[]")
torch.library.define(
    "vdmbench::mamba_ssm_scan_backward", f"(Tensor dy, {_INPUTS}, Tensor states, Tensor? ungated, bool softplus) -> Tensor[]"
)


@torch.library.impl("vdmbench::mamba_ssm_scan", "CUDA")
def _scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    dt_bias: Tensor | None,
    softplus: bool,
) -> list[Tensor]:
    """y, the states between passes, and where there is a gate y before it."""
    kernel = importlib.import_module("selective_scan_cuda")
    y, states, *gated = kernel.fwd(x, dt, A, B, C, D, gate, dt_bias, softplus)
    return [gated[0], states, y] if gated else [y, states]


@torch.library.register_fake("vdmbench::mamba_ssm_scan")
def _(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    dt_bias: Tensor | None,
    softplus: bool,
) -> list[Tensor]:
    batch, channels, frames = x.shape
    states = x.new_empty(batch, channels, -(-frames // _FRAMES_A_PASS), 2 * A.shape[1], dtype=torch.float32)
    y = torch.empty_like(dt)
    return [y, states] if gate is None else [torch.empty_like(gate), states, y]


@torch.library.impl("vdmbench::mamba_ssm_scan_backward", "CUDA")
def _scan_backward(
    dy: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    dt_bias: Tensor | None,
    states: Tensor,
    ungated: Tensor | None,
    softplus: bool,
) -> list[Tensor]:
    """Gradients of x, dt, A, B, C, those of B and C in float32, then of those of D, dt_bias and gate that are there."""
    kernel = importlib.import_module("selective_scan_cuda")
    dx, ddt, dA, dB, dC, dD, ddt_bias, *rest = kernel.bwd(
        x, dt, A, B, C, D, gate, dt_bias, dy, states, ungated, None, softplus, False
    )
    found = [dx, ddt, dA, dB, dC]
    if D is not None:
        found.append(dD)
    if dt_bias is not None:
        found.append(ddt_bias)
    if gate is not None:
        found.append(rest[0])
    return found


@torch.library.register_fake("vdmbench::mamba_ssm_scan_backward")
def _(
    dy: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    dt_bias: Tensor | None,
    states: Tensor,
    ungated: Tensor | None,
    softplus: bool,
) -> list[Tensor]:
    sums = [torch.empty_like(tensor, dtype=torch.float32) for tensor in (B, C)]  # csrc/selective_scan/selective_scan.cpp
    rest = [torch.empty_like(tensor) for tensor in (D, dt_bias, gate) if tensor is not None]
    return [*(torch.empty_like(tensor) for tensor in (x, dt, A)), *sums, *rest]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *tensors, ctx.softplus = inputs
    ctx.save_for_backward(*tensors, *output[1:])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    x, dt, A, B, C, D, gate, dt_bias, states, *ungated = ctx.saved_tensors
    dy = gradients[0]
    assert dy is not None
    found = iter(
        torch.ops.vdmbench.mamba_ssm_scan_backward(
            dy.contiguous(), x, dt, A, B, C, D, gate, dt_bias, states, ungated[0] if ungated else None, ctx.softplus
        )
    )
    dx, ddt, dA, dB, dC = (next(found) for _ in range(5))
    dD = None if D is None else next(found)
    ddt_bias = None if dt_bias is None else next(found)
    d_gate = None if gate is None else next(found)
    return dx, ddt, dA, dB.to(B.dtype), dC.to(C.dtype), dD, d_gate, ddt_bias, None


torch.library.register_autograd("vdmbench::mamba_ssm_scan", _differentiate, setup_context=_setup)
