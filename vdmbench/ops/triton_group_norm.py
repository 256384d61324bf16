"""Group norm with scale, shift and SiLU on CUDA devices, over the kernels of :mod:`vdmbench.ops.triton_group_norm_kernels`.

One launch a pass. Gradients of parameters are summed from a part an image, in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

_ROWS, _BLOCK = 32, 32
"""Places of a tile, and channels of a program, about: whole groups, adjacent in memory."""
_EPSILON = 1e-5


def refuses(x: Tensor) -> str | None:
    """Why the kernels do not take it, in one line; None where they do."""
    return "it computes in float32, and does not take float64; use 'torch'" if x.dtype is torch.float64 else None


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    film: Tensor | None,
    residual: Tensor | None,
    mean: Tensor,
    scale: Tensor,
    *,
    known: bool,
) -> Tensor:
    """As :class:`vdmbench.ops.group_norm_silu.Kernels` says."""
    y = torch.empty_like(x, dtype=x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype))
    if not isinstance(x, FakeTensor):
        from vdmbench.ops import triton_group_norm_kernels

        taken, blocks = _taken(x, film, mean.shape[1])
        with torch.cuda.device_of(x):
            triton_group_norm_kernels.forward[(len(mean) * blocks,)](
                y,
                mean,
                scale,
                x,
                weight.contiguous(),
                bias.contiguous(),
                x if film is None else film.contiguous(),
                x if residual is None else residual,
                pooled=len(x) // len(mean),
                BESIDE=residual is not None,
                KNOWN=known,
                EPSILON=_EPSILON,
                **taken,
            )
    return y


def backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor, film: Tensor | None, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """As :class:`vdmbench.ops.group_norm_silu.Kernels` says."""
    dx = torch.empty_like(x)
    plain, normed = x.new_empty((2, *x.shape[:2]), dtype=torch.float32)  # sums of dz, and of dz n, over places
    if not isinstance(x, FakeTensor):
        from vdmbench.ops import triton_group_norm_kernels

        taken, blocks = _taken(x, film, mean.shape[1])
        with torch.cuda.device_of(x):
            triton_group_norm_kernels.backward[(len(mean) * blocks,)](
                dx,
                plain,
                normed,
                dy,
                mean,
                scale,
                x,
                weight.contiguous(),
                bias.contiguous(),
                x if film is None else film.contiguous(),
                pooled=len(x) // len(mean),
                **taken,
            )
    if film is None:
        return dx, normed.sum(0).to(weight.dtype), plain.sum(0).to(bias.dtype), None
    told = len(x) // len(film)
    plain, normed = (each.unflatten(0, (-1, told)).sum(1) for each in (plain, normed))  # of each row of film
    more = 1 + film[:, : len(weight)].float()
    d_film = torch.cat([normed * weight + plain * bias, plain], 1)
    return dx, (normed * more).sum(0).to(weight.dtype), (plain * more).sum(0).to(bias.dtype), d_film.to(film.dtype)


def _taken(x: Tensor, film: Tensor | None, groups: int) -> tuple[dict[str, int | bool], int]:
    """What both kernels take of sizes, and how many blocks of groups there are."""
    images, channels, height, width = x.shape
    size = channels // groups
    together = max(n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * size <= _BLOCK))
    sizes: dict[str, int | bool] = {
        "places": height * width,
        "channels": channels,
        "told": images if film is None else images // len(film),
        "FILM": film is not None,
        "SIZE": size,
        "GROUPS": together,
        "BLOCK": 1 << (together * size - 1).bit_length(),
        "ROWS": _ROWS,
        "num_warps": 4,
    }
    return sizes, groups // together
