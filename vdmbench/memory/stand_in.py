"""A CUDA device that is not there: fake tensors on it run through PyTorch's own dispatch, and take what CUDA would take.

Fake tensors compute shapes, strides and storages, and nothing else. PyTorch does not let them be on ``cuda`` where it was
built without CUDA, and on ``cpu`` they take the CPU's ways. So its spare device type (``PrivateUse1``) stands in, and what
PyTorch does for CUDA alone is added here: which kernel fused attention takes, recurrent layers
(:mod:`vdmbench.memory.recurrent`), autocast's policy (:mod:`vdmbench.memory.autocast_policy`), and generators of random
numbers.

The spare device type belongs to a process, and once it has a name it keeps it: simulate in a process of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration

from vdmbench.memory.autocast_policy import WeightCasts, register_policy
from vdmbench.memory.recurrent import recurrent_kernels

DEVICE = "simulated_cuda"


class _Module(backend_registration._DummyBackendModule):
    """What ``torch.simulated_cuda`` must answer."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


@cache
def _register() -> WeightCasts:
    """Name the spare device type and give it CUDA's autocast policy; once in a process."""
    backend_registration._setup_privateuseone_for_python_backend(DEVICE, backend_module=_Module())
    return register_policy(DEVICE)


class _FakeTensors(FakeTensorMode):
    """No value is known, not even that of a constant; and a copy of a module stays in the mode of its original."""

    def may_turn_const(self, t: Tensor) -> bool:
        return False

    def __deepcopy__(self, memo: dict[int, Any]) -> _FakeTensors:
        return self


@contextmanager
def _fake_tensors() -> Iterator[None]:
    with warnings.catch_warnings():
        # Copying a tensor asks for its address to learn whether it has one.
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")
        with _FakeTensors(), _ReadValues():
            yield


@contextmanager
def stand_in_device(kind: str) -> Iterator[torch.device]:
    """Within, tensors on the device given are fake. ``kind`` is ``cuda``, or ``cpu`` for fake tensors of the CPU itself."""
    if kind == "cpu":
        with _fake_tensors():
            yield torch.device("cpu")
        return
    if kind != "cuda":
        raise ValueError(f"memory is simulated for 'cuda' or 'cpu', not for '{kind}'")
    casts = _register()
    with (
        _fake_tensors(),
        mock.patch.object(F, "scaled_dot_product_attention", _attention),
        recurrent_kernels(DEVICE),
        mock.patch.object(torch, "Generator", _generator),
        casts.cleared_with_autocast(),
        # Backward in the thread that knows these modes: activation checkpointing runs forward passes in it.
        torch.autograd.set_multithreading_enabled(False),
    ):
        yield torch.device(DEVICE)


def _generator(device: Any = "cpu") -> torch.Generator:
    """PyTorch has no generator for a device that is written in Python; nothing is drawn, so the CPU's serves."""
    return _CPU_GENERATOR()


_CPU_GENERATOR, _SDPA = torch.Generator, F.scaled_dot_product_attention


class _ReadValues(TorchFunctionMode):
    """Answers for values that Python reads, which fake tensors do not hold.

    Checks of finite values pass, and numbers on the host, which count the steps of optimisers and of averaged weights, are 1. A
    number read from the device stays an error: what would follow from it cannot be known.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__bool__ and isinstance(args[0], FakeTensor):
            return True
        if func is Tensor.item and isinstance(args[0], FakeTensor) and args[0].device.type == "cpu":
            return 1.0
        return func(*args, **(kwargs or {}))


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The kernel that PyTorch selects on CUDA (``aten/src/ATen/native/transformers/cuda/sdp_utils.cpp``): flash for half
    precision without a mask, else the memory-efficient one, else un-fused; of those that ``sdpa_kernel`` allows."""
    if q.device.type != DEVICE:
        return _SDPA(q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if torch.is_autocast_enabled(DEVICE):
        to = torch.get_autocast_dtype(DEVICE)
        q, k, v = q.to(to), k.to(to), v.to(to)
        attn_mask = attn_mask.to(to) if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
    needs_grad = torch.is_grad_enabled() and any(part.requires_grad for part in (q, k, v))
    half = q.dtype in (torch.float16, torch.bfloat16)
    if torch.backends.cuda.flash_sdp_enabled() and half and attn_mask is None and q.shape[-1] <= 256:
        width = q.shape[-1]
        q, k, v = (F.pad(part, (0, -width % 8)) if width % 8 else part for part in (q, k, v))
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal, scale=scale)[0][..., :width]
    if torch.backends.cuda.mem_efficient_sdp_enabled():
        bias = None if attn_mask is None else _as_bias(attn_mask, q, k)
        return torch.ops.aten._scaled_dot_product_efficient_attention(
            q, k, v, bias, needs_grad, dropout_p, is_causal, scale=scale
        )[0]
    return torch.ops.aten._scaled_dot_product_attention_math(q, k, v, attn_mask, dropout_p, is_causal, scale=scale)[0]


def _as_bias(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """A mask as the memory-efficient kernel takes it: added to the scores, its rows padded to multiples of 8."""
    if mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=q.dtype)
    keys = mask.shape[-1]
    if keys % 8:
        mask = F.pad(mask, (0, -keys % 8))[..., :keys]
    return mask.expand(*q.shape[:-1], k.shape[-2])
