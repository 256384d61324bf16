"""Linear maps of many rows, on a CPU by oneDNN."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ROWS = 512
"""Fewest rows for which oneDNN is asked."""
IMAGES = 32
"""Images that rows are dealt to for the weight's gradient; of 16 and fewer PyTorch leaves a convolution to its own loops."""


def linear(
    x: Float[Tensor, "*places inputs"], weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"] | None = None
) -> Float[Tensor, "*places outputs"]:
    """x W^T + b, as ``F.linear``.

    PyTorch hands float32 products on a CPU to MKL, which leaves half of an AMD processor's vector width unused, and not to
    oneDNN, which does not. On a Zen 5 core oneDNN takes 0.4 to 0.8 of the time, at 2 to 256 features.
    """
    if not _pays(x):
        return F.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x, weight, bias)
    return y


def _pays(x: Tensor) -> bool:
    """float32 alone: half precision comes to oneDNN from ``F.linear`` too, and float64 it does not take."""
    return (
        x.device.type == "cpu"
        and x.dtype is torch.float32
        and x.numel() >= ROWS * max(1, x.shape[-1])
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b by oneDNN's inner product, which PyTorch's compiler uses too."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy = gradients[0].contiguous()
        asked_x, asked_weight, asked_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # to be differentiated again, by operators that can be
            dx, d_weight = dy @ weight, dy.flatten(0, -2).T @ x.flatten(0, -2)
        else:
            dx = _product(dy, weight.T) if asked_x else None
            d_weight = _correlated(dy, x) if asked_weight else None
        return dx, d_weight, dy.flatten(0, -2).sum(0) if asked_bias else None


def _correlated(y: Tensor, x: Tensor) -> Tensor:
    """Y^T X, summed over rows: the gradient of a convolution of one pixel, that of the wider one to the narrower."""
    outputs, inputs = y.shape[-1], x.shape[-1]
    if outputs < inputs:
        return _correlated(x, y).T
    if y.numel() // outputs % IMAGES:
        return y.flatten(0, -2).T @ x.flatten(0, -2)
    to, of = (part.reshape(IMAGES, -1, 1, part.shape[-1]).permute(0, 3, 1, 2) for part in (y, x))  # channels last, as they lie
    like = y.new_empty(outputs, inputs, 1, 1)
    _, found, _ = torch.ops.aten.convolution_backward(
        to, of, like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
    )
    return found.flatten(1)


class Linear(nn.Linear):
    """``nn.Linear`` whose product is :func:`linear`."""

    def forward(self, x: Float[Tensor, "*places inputs"]) -> Float[Tensor, "*places outputs"]:
        return linear(x, self.weight, self.bias)
