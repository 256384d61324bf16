"""The Mamba-2 block between its projections: convolution, scan, gate, norm and output map, as one op."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.causal_conv1d import causal_conv1d
from vdmbench.ops.linear import linear
from vdmbench.ops.parts import check_parts
from vdmbench.ops.recompute import recomputed, recomputing
from vdmbench.ops.ssd_scan import ssd_scan

_INSTALL = "pip install --no-build-isolation causal-conv1d mamba-ssm (compiles for many minutes)"
_CHUNK = 64
"""Frames of a chunk in the package's kernels."""
_GRID = 65_535
"""Most blocks along the second and third axis of a CUDA grid."""
_TAPS = (2, 3, 4)
"""Widths that the package has kernels for."""
EPSILON = 1e-5
"""Of the norm."""


class Mamba2Weights(NamedTuple):
    """Parameters of the block after its projection.

    Attributes:
        conv: of x, B and C, in this order.
        A: decay of each head, negative.
    """

    conv: Float[Tensor, "mapped taps"]
    conv_bias: Float[Tensor, " mapped"]
    dt_bias: Float[Tensor, " heads"]
    A: Float[Tensor, " heads"]
    D: Float[Tensor, " heads"]
    norm: Float[Tensor, " inner"]
    out: Float[Tensor, "channels inner"]


def mamba2_block(
    gate: Float[Tensor, "batch frames inner"],
    x: Float[Tensor, "batch frames inner"],
    maps: Float[Tensor, "batch frames 2*groups*state"],
    dt: Float[Tensor, "batch frames heads"],
    weights: Mamba2Weights,
    *,
    groups: int = 1,
    backend: str = "auto",
) -> Float[Tensor, "batch frames channels"]:
    """out(norm(scan(silu(conv([x, B, C]))) silu(gate))) of Dao and Gu 2024 (arXiv 2405.21060, sec. 7.1 and fig. 6).

    Args:
        maps: B of all groups, then C of all groups.
        groups: sets of B and C, and parts that the norm takes by themselves.
        backend: ``parts`` (:func:`vdmbench.ops.causal_conv1d`, :func:`vdmbench.ops.ssd_scan`, norm and map, each by its best
            kernel, what is cheap computed again in the backward pass), which is ``auto``; by name ``mamba_ssm``, the official
            fused block (CUDA).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown, cannot run, or does not take these.
    """
    if x.dim() != 3 or dt.dim() != 3 or maps.dim() != 3 or x.numel() == 0 or dt.shape[-1] == 0 or maps.shape[-1] % (2 * groups):
        raise ValueError(
            "mamba2_block takes x (batch, frames, inner), dt (batch, frames, heads) and maps (batch, frames, 2 groups state), "
            f"none empty, got {tuple(x.shape)}, {tuple(dt.shape)} and {tuple(maps.shape)} with {groups} groups"
        )
    batch, frames, inner = x.shape
    heads, mapped = dt.shape[2], inner + maps.shape[2]
    if inner % heads or heads % groups:
        raise ValueError(
            f"mamba2_block takes heads that divide {inner} features and are a multiple of {groups} groups, got {heads}"
        )
    given = Mamba2Weights(*weights)
    shapes: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {
        "gate": (gate, (batch, frames, inner)),
        "x": (x, (batch, frames, inner)),
        "maps": (maps, (batch, frames, maps.shape[2])),
        "dt": (dt, (batch, frames, heads)),
        "conv": (given.conv, (mapped, given.conv.shape[-1])),
        "conv_bias": (given.conv_bias, (mapped,)),
        "dt_bias": (given.dt_bias, (heads,)),
        "A": (given.A, (heads,)),
        "D": (given.D, (heads,)),
        "norm": (given.norm, (inner,)),
        "out": (given.out, (given.out.shape[0], inner)),
    }
    check_parts("mamba2_block", shapes)
    y: Tensor = compute("mamba2_block", backend, x, gate, x, maps, dt, given, groups)
    return y


def _parts(gate: Tensor, x: Tensor, maps: Tensor, dt: Tensor, weights: Mamba2Weights, groups: int) -> Tensor:
    inner, heads = x.shape[2], dt.shape[2]
    with recomputing():
        convolved = recomputed(_convolved, x, maps, weights.conv, weights.conv_bias)
        scanned, B, C = convolved.split((inner, maps.shape[2] // 2, maps.shape[2] // 2), -1)
        B, C = (part.unflatten(-1, (groups, -1)) for part in (B, C))
        y = ssd_scan(scanned.unflatten(-1, (heads, -1)), dt, weights.A, B, C, weights.D, dt_bias=weights.dt_bias).flatten(2)
        return linear(recomputed(_normed, y, gate, weights.norm, groups), weights.out.to(y.dtype))


def _convolved(x: Tensor, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return causal_conv1d(torch.cat([x, maps], -1), weight, bias, silu=True)


def _normed(y: Tensor, gate: Tensor, weight: Tensor, groups: int) -> Tensor:
    """RMS norm of each group's features, after the gate."""
    wide = (y * F.silu(gate)).to(torch.promote_types(y.dtype, torch.float32)).unflatten(-1, (groups, -1))
    return (F.rms_norm(wide, wide.shape[-1:], eps=EPSILON).flatten(-2) * weight).to(y.dtype)


# ---- the official fused block ---------------------------------------------------------------------------------------


@cache
def mamba_ssm_block_missing() -> str | None:
    """None where the modules that the fused block runs import, else how to install them."""
    try:
        for name in ("causal_conv1d_cuda", "mamba_ssm.ops.triton.ssd_combined"):
            importlib.import_module(name)
    except ImportError as error:
        return f"the fused Mamba-2 block does not import ({error}); {_INSTALL}"
    return None


def _mamba_ssm(gate: Tensor, x: Tensor, maps: Tensor, dt: Tensor, weights: Mamba2Weights, groups: int) -> Tensor:
    """``mamba_split_conv1d_scan_combined`` (mamba-ssm 2.2 and 2.3), which takes gate, x, B, C and dt as one projection gives
    them, side by side. It puts batch times chunks on an axis of the grid that ends at 65,535: a larger batch is cut."""
    rows = max(1, _GRID // -(-x.shape[1] // _CHUNK))
    if len(x) > rows:
        cut = zip(*(part.split(rows) for part in (gate, x, maps, dt)), strict=True)
        return torch.cat([_mamba_ssm(z, x, maps, dt, weights, groups) for z, x, maps, dt in cut])
    projected = torch.cat([gate, x, maps, dt.to(x.dtype)], -1)
    conv, conv_bias, norm, out = (each.to(x.dtype) for each in (weights.conv, weights.conv_bias, weights.norm, weights.out))
    dt_bias, A, D = (each.float() for each in (weights.dt_bias, weights.A, weights.D))
    if isinstance(x, FakeTensor):
        planned: Tensor = _Planned.apply(projected, conv, conv_bias, dt_bias, A, D, norm, out, groups)
        return planned
    run = importlib.import_module("mamba_ssm.ops.triton.ssd_combined").mamba_split_conv1d_scan_combined
    y: Tensor = run(
        projected,
        conv,
        conv_bias,
        dt_bias,
        A,
        D,
        _CHUNK,
        activation="silu",
        rmsnorm_weight=norm,
        rmsnorm_eps=EPSILON,
        outproj_weight=out,
        headdim=x.shape[2] // dt.shape[2],
        ngroups=groups,
        norm_before_gate=False,
    )
    return y


def _mamba_ssm_refuses(gate: Tensor, x: Tensor, maps: Tensor, dt: Tensor, weights: Mamba2Weights, groups: int) -> str | None:
    if x.dtype is torch.float64:
        return "it takes no float64; use 'parts'"
    taps, mapped = weights.conv.shape[1], weights.conv.shape[0]
    if taps not in _TAPS or mapped % 8:
        return f"it takes 2 to 4 taps and convolved features in multiples of 8, not {taps} and {mapped}; use 'parts'"
    if (2 * x.shape[2] + maps.shape[2] + dt.shape[2]) % 8:
        return f"it takes a projection in multiples of 8, which is none with {dt.shape[2]} heads; use 'parts'"
    return None


class _Planned(torch.autograd.Function):
    """The memory of the package's autograd function: it keeps the projection and what the scan gave, and makes convolution and
    states again."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, *rest: Any) -> Tensor:
        *weights, groups = rest
        conv, _, _, A, _, norm, out = weights
        batch, frames, _ = projected.shape
        convolved = projected.new_empty(batch, frames, len(conv))
        states = _states(projected, len(norm), len(conv), groups)
        scanned, normed = (projected.new_empty(batch, frames, len(norm)) for _ in range(2))
        ctx.groups = groups
        ctx.save_for_backward(projected, scanned, *weights)
        y = projected.new_empty(batch, frames, len(out))
        del convolved, states, normed, A
        return y

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        projected, scanned, *weights = ctx.saved_tensors
        conv, *_, norm, _ = weights
        convolved, asked = (projected.new_empty(*projected.shape[:2], len(conv)) for _ in range(2))
        found = [torch.empty_like(each) for each in (projected, *weights)]
        made_again, of_norm, of_out = (torch.empty_like(scanned) for _ in range(3))
        states = [_states(projected, len(norm), len(conv), ctx.groups) for _ in range(2)]
        del convolved, asked, made_again, of_norm, of_out, states
        return *found, None


def _states(projected: Tensor, inner: int, mapped: int, groups: int) -> Tensor:
    """What chunks leave, in float32."""
    batch, frames, _ = projected.shape
    state = (mapped - inner) // groups // 2
    return projected.new_empty(batch, -(-frames // _CHUNK), inner, state, dtype=torch.float32)


declare(
    "mamba2_block",
    Backend(
        "mamba_ssm",
        _mamba_ssm,
        ("cuda",),
        mamba_ssm_block_missing,
        by_name_only=True,
        refuses=_mamba_ssm_refuses,
        package="mamba-ssm",
    ),
    Backend("parts", _parts),
)
