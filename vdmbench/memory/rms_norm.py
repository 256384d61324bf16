"""Root-mean-square norm as CUDA runs it: one kernel, where PyTorch's spare device type has a dozen operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_RMS_NORM = F.rms_norm


def fused_rms_norm(device: str) -> Callable[..., Tensor]:
    """``F.rms_norm`` on ``device``: ``aten/src/ATen/native/layer_norm.cpp``, rms_norm_symint hands a weight in the dtype of x,
    or none, to _fused_rms_norm, and any other to the operations one by one."""

    def run(x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
        if x.device.type != device:
            return _RMS_NORM(x, shape, weight, eps)
        if torch.is_autocast_enabled(device):  # float32, as all norms
            x, weight = x.float(), None if weight is None else weight.float()
        if weight is not None and weight.dtype is not x.dtype:
            return _RMS_NORM(x, shape, weight, eps)
        y: Tensor = _Fused.apply(x, weight, len(shape))
        return y

    return run


class _Fused(torch.autograd.Function):
    """``cuda/layer_norm_kernel.cu``, _fused_rms_norm_cuda and its backward pass: x without gaps, the result, and for each row
    1 / rms in float32; the gradients of x and of the weight, that of the result without gaps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, axes: int) -> Tensor:
        rows = x.shape[: x.dim() - axes]
        y = torch.empty_like(x.contiguous())
        rstd = x.new_empty((*rows, *(1,) * axes), dtype=torch.promote_types(x.dtype, torch.float32))
        ctx.save_for_backward(x, weight, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, _ = ctx.saved_tensors
        held = d_out[0].contiguous(), x.contiguous()
        found = torch.empty_like(held[1]), None if weight is None else torch.empty_like(weight)
        return *found, None
