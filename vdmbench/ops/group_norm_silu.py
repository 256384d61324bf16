"""Group norm, feature-wise scale and shift, SiLU and the sum with a residual, as one function that keeps its input alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.ops import numba_group_norm, triton_group_norm
from vdmbench.ops.backends import Backend, compute, declare
from vdmbench.ops.numba_scan import numba_missing
from vdmbench.ops.parts import check_parts
from vdmbench.ops.recompute import from_inputs, made_again, recomputed
from vdmbench.ops.triton_scan import DEVICES, triton_missing

EPSILON = 1e-5


def group_norm_silu(
    x: Float[Tensor, "images channels height width"],
    weight: Float[Tensor, " channels"],
    bias: Float[Tensor, " channels"],
    film: Float[Tensor, "rows two_channels"] | None = None,
    residual: Float[Tensor, "images channels height width"] | None = None,
    *,
    groups: int,
    pooled: int = 1,
    keep: bool = False,
    backend: str = "auto",
) -> Float[Tensor, "images channels height width"]:
    """residual + SiLU((n weight + bias) (1 + scale) + shift), n the norm of x over each group of channels.

    Group norm by Wu and He 2018 (arXiv 1803.08494, eq. 1-3), scale and shift by Perez et al. 2018 (FiLM, arXiv 1709.07871,
    eq. 1). Sums and maps run in float32 at least; y has the dtype of x, or the wider one of x and the residual. For the
    backward pass x is kept, and mean and deviation of each group; inside :func:`vdmbench.ops.recompute.recomputing` y is made
    again from them where another function would keep it.

    Args:
        film: scale, then shift, of as many images next to each other as there are for each row; None: 0 and 0.
        groups: of channels; must divide their number.
        pooled: images next to each other that share their mean and deviation.
        keep: keep y where another function asks for it.
        backend: ``triton`` (CUDA), ``numba`` (CPU), ``torch``, or ``auto``, the first of these that can run. What the compiler
            traces is ``torch`` always.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend is unknown or cannot run.
    """
    if x.dim() != 4 or x.numel() == 0:
        raise ValueError(f"group_norm_silu takes x (images, channels, height, width), not empty, got {tuple(x.shape)}")
    images, channels = x.shape[:2]
    rows = 1 if film is None else film.shape[0]
    if groups < 1 or channels % groups:
        raise ValueError(f"group_norm_silu takes channels that are a multiple of {groups} groups, got {channels}")
    if pooled < 1 or images % pooled or rows < 1 or images % rows:
        raise ValueError(f"group_norm_silu takes images in whole parts of pooled and film, got {images}, {pooled} and {rows}")
    check_parts(
        "group_norm_silu",
        {
            "x": (x, x.shape),
            "weight": (weight, (channels,)),
            "bias": (bias, (channels,)),
            "film": (film, (rows, 2 * channels)),
            "residual": (residual, x.shape),
        },
    )
    asked = "torch" if backend == "auto" and torch.compiler.is_compiling() else backend
    y: Tensor = compute("group_norm_silu", asked, x, x, weight, bias, film, residual, groups, pooled, keep)
    return y


def _formula(
    groups: int, pooled: int, x: Tensor, weight: Tensor, bias: Tensor, film: Tensor | None, residual: Tensor | None
) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    last = x.permute(0, 2, 3, 1)
    # With channels last, images next to each other lie in memory as one tall image: stacking them moves nothing.
    tall = last.unflatten(0, (-1, pooled)).flatten(1, 2).permute(0, 3, 1, 2)
    normed = torch.group_norm(tall.to(wide), groups, weight.to(wide), bias.to(wide), EPSILON)
    z = normed.permute(0, 2, 3, 1).reshape(last.shape).permute(0, 3, 1, 2)
    if film is not None:
        scale, shift = film.to(wide).repeat_interleave(len(x) // len(film), 0)[..., None, None].chunk(2, 1)
        z = torch.addcmul(shift, z, scale + 1)
    y = F.silu(z)
    return y.to(x.dtype) if residual is None else (y + residual).to(torch.promote_types(x.dtype, residual.dtype))


def _torch(
    x: Tensor, weight: Tensor, bias: Tensor, film: Tensor | None, residual: Tensor | None, groups: int, pooled: int, keep: bool
) -> Tensor:
    y: Tensor = (from_inputs if keep else recomputed)(partial(_formula, groups, pooled), x, weight, bias, film, residual)
    return y


class Kernels(NamedTuple):
    """The two passes of a fused backend; what they take has channels last in memory."""

    forward: Callable[..., Tensor]
    """y from x, weight, bias, film, residual, then mean and 1 / deviation of each unit and group, and whether these are known
    or are to be filled in."""
    backward: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor | None]]
    """Gradients of x, weight, bias, film from dy, x, weight, bias, film, mean, 1 / deviation."""


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        film: Tensor | None,
        residual: Tensor | None,
        groups: int,
        pooled: int,
        keep: bool,
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        if residual is not None:
            residual = residual.contiguous(memory_format=torch.channels_last)
        statistics = x.new_empty((2, len(x) // pooled, groups), dtype=torch.promote_types(x.dtype, torch.float32))
        y = kernels.forward(x, weight, bias, film, residual, *statistics, known=False)
        ctx.kernels, ctx.residual, ctx.made, ctx.kept = kernels, None if residual is None else residual.dtype, None, None
        ctx.save_for_backward(x, weight, bias, film, None if keep else residual, statistics)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, film, _, statistics = _kept(ctx)
        ctx.made = ctx.kept = None
        dy = dy.contiguous(memory_format=torch.channels_last)
        gradients = ctx.kernels.backward(dy, x, weight, bias, film, *statistics)
        to_residual = None if ctx.residual is None else dy.to(ctx.residual)
        return None, *gradients, to_residual, None, None, None


def _kept(ctx: Any) -> tuple[Any, ...]:
    """What the node saved, unpacked once in a backward pass: checkpointing allows no second time."""
    if ctx.kept is None:
        ctx.kept = ctx.saved_tensors
    kept: tuple[Any, ...] = ctx.kept
    return kept


def _again(ctx: Any) -> Tensor:
    x, weight, bias, film, residual, statistics = _kept(ctx)
    y: Tensor = ctx.kernels.forward(x, weight, bias, film, residual, *statistics, known=True)
    return y


def _fused(kernels: Kernels) -> Callable[..., Tensor]:
    def run(*arguments: Any) -> Tensor:
        y: Tensor = _Fused.apply(kernels, *arguments)
        return y if arguments[-1] else made_again(y, _again)

    return run


declare(
    "group_norm_silu",
    Backend(
        "triton",
        _fused(Kernels(triton_group_norm.forward, triton_group_norm.backward)),
        DEVICES,
        triton_missing,
        package="triton",
        refuses=lambda x, *_: triton_group_norm.refuses(x),
    ),
    Backend(
        "numba",
        _fused(Kernels(numba_group_norm.forward, numba_group_norm.backward)),
        ("cpu",),
        numba_missing,
        refuses=lambda x, *_: numba_group_norm.refuses(x),
    ),
    Backend("torch", _torch),
)
