"""Group norm with scale, shift and SiLU on the CPU: from tensors to what :mod:`vdmbench.ops.group_norm_kernels` takes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vdmbench.ops.numba_scan import own_array, run_kernel

_ROW = 128
"""Numbers in a row, about: what a channel is multiplied by stays in the level-1 cache, and a row is long beside its set-up."""
_EPSILON = 1e-5


def refuses(x: Tensor) -> str | None:
    """Why the kernels do not take it, in one line; None where they do."""
    channels, places = x.shape[1], x.shape[2] * x.shape[3]
    if _row(channels, places, torch.promote_types(x.dtype, torch.float32).itemsize) is None:
        return f"it takes images of a multiple of the vector width, not {channels} x {places} numbers; use 'torch'"
    return None


@cache
def _row(channels: int, places: int, itemsize: int) -> int | None:
    """Numbers in a row: as many whole places as fit ``_ROW``, at least one vector; None where no number of places divides."""
    from vdmbench.ops.row_kernels import lanes

    fitting = [n for n in range(1, places + 1) if places % n == 0 and n * channels % lanes(itemsize) == 0]
    return max((n for n in fitting if n * channels <= _ROW), default=min(fitting, default=0)) * channels or None


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
    wide, dtype = mean.dtype, x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    y, told = torch.empty_like(x, dtype=wide), _film(film, weight)
    if not isinstance(x, FakeTensor):
        from vdmbench.ops import group_norm_kernels

        taken = _rows(x, wide)
        run_kernel(
            group_norm_kernels.forward,
            x.numel(),
            _rows(y, wide),
            mean.numpy(),
            scale.numpy(),
            taken,
            *(own_array(part, wide) for part in (weight, bias)),
            _array(told, wide),
            taken if residual is None else _rows(residual, wide),
            residual is not None,
            known,
            _EPSILON,
        )
    return y if dtype is wide else y.to(dtype)


def backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor, film: Tensor | None, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """As :class:`vdmbench.ops.group_norm_silu.Kernels` says."""
    wide = mean.dtype
    dx, told = torch.empty_like(x, dtype=wide), _film(film, weight)
    d_weight, d_bias, d_film = (torch.zeros_like(part, dtype=wide) for part in (weight, bias, told))
    if not isinstance(x, FakeTensor):
        from vdmbench.ops import group_norm_kernels

        run_kernel(
            group_norm_kernels.backward,
            x.numel(),
            _rows(dx, wide),
            *(each.numpy() for each in (d_weight, d_bias, d_film)),
            _rows(dy, wide),
            mean.numpy(),
            scale.numpy(),
            _rows(x, wide),
            *(own_array(part, wide) for part in (weight, bias)),
            _array(told, wide),
        )
    to_film = None if film is None else d_film.to(film.dtype)
    return dx.to(x.dtype), d_weight.to(weight.dtype), d_bias.to(bias.dtype), to_film


def _film(film: Tensor | None, weight: Tensor) -> Tensor:
    return weight.new_zeros(1, 2 * len(weight)) if film is None else film


def _array(tensor: Tensor, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    tensor = tensor.detach()
    tensor = tensor if tensor.dtype is dtype else tensor.to(dtype)
    array: np.ndarray[Any, Any] = tensor.contiguous().numpy()
    return array


def _rows(x: Tensor, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """(images, rows, row), the memory of x itself where it has the dtype."""
    images, channels, height, width = x.shape
    row = _row(channels, height * width, dtype.itemsize)
    assert row is not None
    return _array(x.permute(0, 2, 3, 1), dtype).reshape(images, -1, row)
