"""The two halves of linear attention over places: the sums that its keys weigh, and what its queries read from them.

On a CPU, in float32, each is one function that keeps its inputs alone.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vdmbench.ops.backends import simulated_device
from vdmbench.ops.numba_scan import numba_missing, run_kernel


def takes(q: Float[Tensor, "images places features"], x: Float[Tensor, "images places channels"]) -> bool:
    """Whether :func:`gathered` and :func:`read` run on these queries, or keys, and inputs."""
    if (
        q.device.type != "cpu"
        or q.dtype is not torch.float32
        or x.dtype is not torch.float32
        or simulated_device() not in (None, "cpu")
        or torch.compiler.is_compiling()
        or torch.is_autocast_enabled("cpu")
        or numba_missing() is not None
    ):
        return False
    from vdmbench.ops import row_kernels

    lanes = row_kernels.lanes(q.dtype.itemsize)
    return not (q.shape[1] % lanes or q.shape[2] % lanes or x.shape[2] % lanes)


def gathered(
    k: Float[Tensor, "images places features"], x: Float[Tensor, "images places channels"]
) -> Float[Tensor, "images features channels"]:
    """softmax(k over places)^T x (Shen et al. 2018, arXiv 1812.01243, sec. 3.3, x in the place of the values)."""
    found: Tensor = _Gathered.apply(k, x)
    return found


def read(
    q: Float[Tensor, "images places features"], values: Float[Tensor, "images features channels"], heads: int
) -> Float[Tensor, "images places channels"]:
    """softmax(q over the features of each head) values (Shen et al. 2018, sec. 3.3)."""
    found: Tensor = _Read.apply(q, values, heads)
    return found


def _gather_formula(k: Tensor, x: Tensor) -> Tensor:
    return k.softmax(1).transpose(1, 2) @ x


def _read_formula(heads: int, q: Tensor, values: Tensor) -> Tensor:
    return q.unflatten(-1, (heads, -1)).softmax(-1).flatten(-2) @ values


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, k: Tensor, x: Tensor) -> Tensor:
        from vdmbench.ops import place_attention_kernels

        ctx.save_for_backward(k, x)
        out = k.new_empty(len(k), k.shape[2], x.shape[2])
        _run(place_attention_kernels.gather, out, k, x)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        from vdmbench.ops import place_attention_kernels

        k, x = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again, by operators that can be
            return torch.autograd.grad(_gather_formula(k, x), (k, x), gradients, create_graph=True)
        dk, dx = k.new_empty(k.shape), x.new_empty(x.shape)
        _run(place_attention_kernels.gather_backward, dk, dx, gradients[0], k, x)
        return dk, dx


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, values: Tensor, heads: int) -> Tensor:
        from vdmbench.ops import place_attention_kernels

        ctx.save_for_backward(q, values)
        ctx.heads = heads
        out = q.new_empty(*q.shape[:2], values.shape[2])
        _run(place_attention_kernels.read, out, q, values, heads=heads)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from vdmbench.ops import place_attention_kernels

        q, values = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = torch.autograd.grad(_read_formula(ctx.heads, q, values), (q, values), gradients, create_graph=True)
            return *found, None
        dq, d_values = q.new_empty(q.shape), values.new_empty(values.shape)
        _run(place_attention_kernels.read_backward, dq, d_values, gradients[0], q, values, heads=ctx.heads)
        return dq, d_values, None


def _run(kernel: Any, *tensors: Tensor, heads: int | None = None) -> None:
    """The first tensors are written into. Of fake tensors there is nothing to compute."""
    if not any(isinstance(tensor, FakeTensor) for tensor in tensors):
        arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
        run_kernel(kernel, tensors[-1].numel(), *arrays, *([] if heads is None else [heads]))
