"""A CUDA device that is not there: fake tensors on it run through PyTorch's own dispatch, and take what CUDA would take.

Fake tensors compute shapes, strides and storages, and nothing else. PyTorch does not let them be on ``cuda`` where it was
built without CUDA, and on ``cpu`` they take the CPU's ways. So its spare device type (``PrivateUse1``) stands in, and what
PyTorch does for CUDA alone is added here: which kernel fused attention takes on which card, recurrent layers
(:mod:`vdmbench.memory.recurrent`), the fused norm (:mod:`vdmbench.memory.rms_norm`), autocast's policy
(:mod:`vdmbench.memory.autocast_policy`), and generators of random numbers. What kernels allocate inside themselves is seen by a
:class:`~vdmbench.memory.storages.StorageTracker`.

The spare device type belongs to a process, and once it has a name it keeps it: simulate in a process of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration

from vdmbench.memory.architecture import Architecture, architecture
from vdmbench.memory.autocast_policy import WeightCasts, register_policy
from vdmbench.memory.fake_tensors import FakeTensors
from vdmbench.memory.recurrent import recurrent_kernels
from vdmbench.memory.rms_norm import fused_rms_norm

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


@contextmanager
def _fake_tensors() -> Iterator[None]:
    with warnings.catch_warnings():
        # Copying a tensor asks for its address to learn whether it has one.
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")
        with FakeTensors(), _ReadValues():
            yield


@contextmanager
def stand_in_device(kind: str, card: str = "") -> Iterator[torch.device]:
    """Within, tensors on the device given are fake. ``kind`` is ``cuda``, or ``cpu`` for fake tensors of the CPU itself.

    PyTorch takes the kernels that it takes on ``card``; on an A100 where none is named.
    """
    if kind == "cpu":
        with _fake_tensors():
            yield torch.device("cpu")
        return
    if kind != "cuda":
        raise ValueError(f"memory is simulated for 'cuda' or 'cpu', not for '{kind}'")
    casts = _register()
    with (
        _fake_tensors(),
        mock.patch.object(F, "scaled_dot_product_attention", partial(_attention, architecture(card))),
        mock.patch.object(F, "rms_norm", fused_rms_norm(DEVICE)),
        recurrent_kernels(DEVICE),
        mock.patch.object(torch, "Generator", _Generator),
        casts.cleared_with_autocast(),
        # Backward in the thread that knows these modes: activation checkpointing runs forward passes in it.
        torch.autograd.set_multithreading_enabled(False),
    ):
        yield torch.device(DEVICE)


class _Generator:
    """PyTorch has no generator for a device that is written in Python; nothing is drawn, so the CPU's serves.

    A class, for modules of PyTorch's that are imported meanwhile name it in their types.
    """

    def __new__(cls, device: Any = "cpu") -> Any:
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
    card: Architecture,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """PyTorch's function by the kernel that it selects on the card."""
    if q.device.type != DEVICE:
        return _SDPA(q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if torch.is_autocast_enabled(DEVICE):
        to = torch.get_autocast_dtype(DEVICE)
        q, k, v = q.to(to), k.to(to), v.to(to)
        attn_mask = attn_mask.to(to) if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
    needs_grad = torch.is_grad_enabled() and any(part.requires_grad for part in (q, k, v))
    kernel = _selected(card, q, k, v, attn_mask)
    if kernel == "flash":
        width = q.shape[-1]
        q, k, v = (F.pad(part, (0, -width % 8)) if width % 8 else part for part in (q, k, v))
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal, scale=scale)[0][..., :width]
    if kernel == "math":
        return torch.ops.aten._scaled_dot_product_attention_math(q, k, v, attn_mask, dropout_p, is_causal, scale=scale)[0]
    bias = None if attn_mask is None else _as_bias(attn_mask, q, k)
    op = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_attention")
    found: Tensor = op(q, k, v, bias, needs_grad, dropout_p, is_causal, scale=scale)[0]
    return found


def _selected(card: Architecture, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> str:
    """The first that takes these, in PyTorch's order (``aten/src/ATen/native/transformers/cuda/sdp_utils.cpp``, priority_order
    and can_use_*_attention), of those that ``sdpa_kernel`` allows: flash, memory-efficient, un-fused; on Hopper and on
    Blackwell of the data center cuDNN before them (check_prefer_cudnn_attention). Determinism is asked for as a warning, which
    excludes none.
    """
    allowed, width = torch.backends.cuda, q.shape[-1]
    ampere = card.capability >= (8, 0)
    half = q.dtype is torch.float16 or (q.dtype is torch.bfloat16 and ampere)
    # check_cudnn_tensor_shapes; and it has no gradient for a mask.
    fits = width % 8 == 0 and width <= 128 and max(q.shape[:2]) <= 65_535 and k.shape[2] > 1
    trained = mask is not None and mask.requires_grad and torch.is_grad_enabled()
    if allowed.cudnn_sdp_enabled() and card.capability[0] in (9, 10) and half and fits and not trained:
        return "cudnn"
    if allowed.flash_sdp_enabled() and ampere and half and mask is None and width <= 256:
        return "flash"
    if allowed.mem_efficient_sdp_enabled() and (half or q.dtype is torch.float32):
        return "efficient"
    return "math"


def _as_bias(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """A mask as the memory-efficient kernel takes it: added to the scores, its rows padded to multiples of 8."""
    if mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=q.dtype)
    keys = mask.shape[-1]
    if keys % 8:
        mask = F.pad(mask, (0, -keys % 8))[..., :keys]
    return mask.expand(*q.shape[:-1], k.shape[-2])
