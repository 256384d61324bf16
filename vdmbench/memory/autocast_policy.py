"""CUDA's autocast policy for the stand-in device: which ops run in the lower precision, and which in float32.

The lists are those of ``ATen/autocast_mode.h`` (PyTorch 2.13), the ops that a network of ours or a user's can reach.
An op in none of them runs in what it is given: ``cat`` and ``stack`` promote by themselves, and make no copies for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

_KEY: Any = torch._C._parse_dispatch_key("AutocastPrivateUse1")

_LOWER = (
    "_convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input",
    "convolution", "prelu", "addmm", "addmv", "addr", "matmul", "einsum", "mm", "mv", "linalg_vecdot", "linear", "addbmm",
    "baddbmm", "bmm", "chain_matmul", "linalg_multi_dot", "lstm_cell", "gru_cell",
)  # fmt: skip
_FLOAT32 = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh", "tan",
    "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus", "layer_norm", "native_layer_norm", "rms_norm",
    "group_norm", "frobenius_norm.dim", "norm.Scalar", "norm.ScalarOpt_dim", "cosine_similarity", "nll_loss", "nll_loss2d",
    "kl_div", "l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss", "binary_cross_entropy_with_logits", "dist", "cdist",
    "renorm", "logsumexp", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
)  # fmt: skip
_FLOAT32_RESULT = ("prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm", "sum",
                   "sum.dim_IntList")  # fmt: skip
_WIDEST = ("addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sampler", "index_put", "tensordot",
           "scatter_add")  # fmt: skip


class WeightCasts:
    """Weights in the lower precision, kept until autocast ends: each is cast once for all layers that share it."""

    def __init__(self) -> None:
        self._casts: dict[int, tuple[Tensor, Tensor]] = {}

    def cast(self, tensor: Tensor, to: torch.dtype) -> Tensor:
        """``tensor`` in that dtype; what is not floating, or float64, stays."""
        if not tensor.is_floating_point() or tensor.dtype in (torch.float64, to):
            return tensor
        keep = tensor.is_leaf and tensor.requires_grad and tensor.dtype is torch.float32 and torch.is_autocast_cache_enabled()
        if not keep:
            return tensor.to(to)
        if id(tensor) not in self._casts:
            self._casts[id(tensor)] = tensor, tensor.to(to)
        return self._casts[id(tensor)][1]

    @contextmanager
    def cleared_with_autocast(self) -> Iterator[None]:
        """The casts end where PyTorch clears its own cache of them."""
        original = torch.clear_autocast_cache

        def clear() -> None:
            self._casts.clear()
            original()

        with mock.patch.object(torch, "clear_autocast_cache", clear):
            yield


_libraries: list[torch.library.Library] = []  # a registration lasts as long as its library object


def register_policy(device: str) -> WeightCasts:
    """Give the spare device type, named ``device``, CUDA's policy; once in a process."""
    casts = WeightCasts()
    everything = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    everything.fallback(torch.library.fallthrough_kernel)
    aten = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    _libraries.extend((everything, aten))

    def lower(tensors: list[Tensor]) -> torch.dtype:
        return torch.get_autocast_dtype(device)

    def float32(tensors: list[Tensor]) -> torch.dtype:
        return torch.float32

    def widest(tensors: list[Tensor]) -> torch.dtype:
        return torch.float32 if any(tensor.dtype is torch.float32 for tensor in tensors) else torch.get_autocast_dtype(device)

    for names, rule in ((_LOWER, lower), (_FLOAT32, float32), (_WIDEST, widest)):
        for name in names:
            aten.impl(name, _casting(name, rule, casts))
    for name in _FLOAT32_RESULT:
        aten.impl(name, _into_float32(name))
    return casts


def _op(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _casting(name: str, rule: Callable[[list[Tensor]], torch.dtype], casts: WeightCasts) -> Callable[..., Any]:
    op = _op(name)

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(_KEY)):
            tensors: list[Tensor] = []
            tree_map_only(Tensor, tensors.append, (args, kwargs))
            to = rule([tensor for tensor in tensors if tensor.is_floating_point()])
            cast_args, cast_kwargs = tree_map_only(Tensor, lambda tensor: casts.cast(tensor, to), (args, kwargs))
            return op(*cast_args, **cast_kwargs)

    return run


def _into_float32(name: str) -> Callable[..., Any]:
    """Without a dtype of its own the result is float32; kernels that can read the argument as it is."""
    op = _op(name)
    place = [argument.name for argument in op._schema.arguments].index("dtype")

    def run(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(_KEY)):
            given = kwargs.get("dtype") if len(args) < place else args[place - 1]
            if given is not None or not tensor.is_floating_point() or tensor.dtype is torch.float64:
                return op(tensor, *args, **kwargs)
            if name == "softmax.int" and tensor.dtype is torch.float16:  # one kernel, on CUDA alone and of fp16 alone
                return torch.ops.aten._softmax(tensor, args[0], True)
            return op(tensor, *args[: place - 1], **{**kwargs, "dtype": torch.float32})

    return run
