"""Softmax attention by PyTorch's fused kernels, whichever it selects or one by name; the latter's memory on fake tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vdmbench.ops.backends import Backend, BackendUnavailable, simulated_device

Kernel = Literal["flash", "efficient", "cudnn"]
HALF = (torch.float16, torch.bfloat16)
_KERNELS: dict[Kernel, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
_DEVICES: dict[Kernel, tuple[str, ...]] = {"flash": ("cuda", "cpu"), "efficient": ("cuda",), "cudnn": ("cuda",)}
_NAMES = {int(kernel.value): name for name, kernel in _KERNELS.items()} | {int(SDPBackend.MATH.value): "math"}


def future(scores: Tensor) -> Tensor:
    """True where the key (last axis) lies after the query."""
    frames = scores.shape[-1]
    return torch.ones(frames, frames, dtype=torch.bool, device=scores.device).triu(1)


def mask_of(q: Tensor, bias: Tensor | None, causal: bool) -> Tensor | None:
    """Bias and causality as one mask (1, heads, frames, frames) in the dtype of q; None where there is no bias."""
    if bias is None:
        return None
    mask = bias.to(q.dtype)
    return (mask.masked_fill(future(mask), float("-inf")) if causal else mask)[None]


def kernel_inputs(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As fused kernels take them: in the dtype of autocast, which sees few of the calls, and features adjacent in memory."""
    device = q.device.type
    lowered = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device) and q.dtype is not torch.float64
    dtype = torch.get_autocast_dtype(device) if lowered else q.dtype
    q, k, v = (part.to(dtype) if part.stride(-1) == 1 else part.to(dtype).contiguous() for part in (q, k, v))
    return q, k, v


ROWS = 65_535
"""Most batch elements of a launch on CUDA: fused kernels put them on an axis of the grid that ends there."""


def by_rows(
    run: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor, v: Tensor, *, with_heads: bool = False
) -> Tensor:
    """``run`` on as many batch elements at a time as a launch takes, where they are more on CUDA; ``with_heads`` where the
    kernel has batch elements times heads on that axis."""
    rows = max(1, ROWS // q.shape[1]) if with_heads else ROWS
    if len(q) <= rows or (simulated_device() or q.device.type) != "cuda":
        return run(q, k, v)
    return torch.cat([run(*parts) for parts in zip(q.split(rows), k.split(rows), v.split(rows), strict=True)])


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """PyTorch's choice of kernel. PyTorch takes a mask or ``causal``, never both."""

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)

    return by_rows(run, *kernel_inputs(q, k, v))


def _sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    mask = mask_of(q, bias, causal)
    return fused(q, k, v, mask, causal and mask is None)


def _selected(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str:
    """The kernel that :func:`_sdpa` ran: PyTorch asks the same function."""
    q, k, v = kernel_inputs(q, k, v)
    mask = mask_of(q, bias, causal)
    if plans_gpu(q):
        return "sdpa-flash" if q.dtype in HALF and mask is None else "sdpa-efficient"
    chosen = torch._fused_sdp_choice(q, k, v, mask, 0.0, causal and mask is None)
    return f"sdpa-{_NAMES.get(chosen, chosen)}"


def _held_to(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    q, k, v = kernel_inputs(q, k, v)
    mask = mask_of(q, bias, causal)
    causal = causal and mask is None

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if plans_gpu(q):
            return planned(kernel, q, k, v, mask, causal)
        with sdpa_kernel(_KERNELS[kernel]):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)

    try:
        return by_rows(run, q, k, v)
    except RuntimeError as error:
        if "No available kernel" not in str(error):
            raise
        raise BackendUnavailable(
            f"backend 'sdpa-{kernel}' of attention cannot run: PyTorch's kernel does not take {q.dtype} with head_dim "
            f"{q.shape[-1]} on this {q.device.type} (its warnings say why); use 'sdpa'"
        ) from error


def _refusal(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> str | None:
    """What is known before the kernel is asked."""
    dtype = kernel_inputs(q, k, v)[0].dtype
    trained = bias is not None and bias.requires_grad and torch.is_grad_enabled()
    if kernel == "flash" and (simulated_device() or q.device.type) == "cpu":
        return "on cpu it takes no bias that is trained; use 'sdpa' or 'math'" if trained else None
    if kernel != "efficient" and dtype not in HALF:
        return f"on cuda it takes float16 or bfloat16, not {dtype}; use 'sdpa' or autocast"
    if kernel == "flash" and bias is not None:
        return "on cuda it takes no bias; use 'sdpa-efficient'"
    if kernel == "cudnn" and trained:
        return "it takes no bias that is trained; use 'sdpa-efficient'"
    return None


# ---- planned: what a kernel of CUDA allocates, on fake tensors ---------------------------------------------------


def plans_gpu(q: Tensor) -> bool:
    """Whether no kernel runs, and the memory is that of a GPU."""
    return isinstance(q, FakeTensor) and simulated_device() == "cuda"


def planned(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """The fake form of a CUDA kernel: output and log-sum-exp, and what its backward pass asks for."""
    head_dim = q.shape[-1]
    if kernel == "flash":  # it takes multiples of 8
        scale = head_dim**-0.5
        q, k, v = (F.pad(part, (0, -head_dim % 8)) if head_dim % 8 else part for part in (q, k, v))
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, scale=scale)[0][..., :head_dim]
    if mask is not None:
        keys = k.shape[2]
        mask = F.pad(mask, (0, -keys % 8))[..., :keys] if keys % 8 else mask  # rows aligned to 16 bytes
        mask = mask.expand(q.shape[0], q.shape[1], -1, -1)
    op = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_attention")
    keep = torch.is_grad_enabled() and any(part.requires_grad for part in (q, k, v))
    found: Tensor = op(q, k, v, mask, keep, 0.0, causal)[0]
    return found


SDPA = (
    Backend("sdpa", _sdpa, ran=_selected),
    *[
        Backend(f"sdpa-{kernel}", partial(_held_to, kernel), devices, by_name_only=True, refuses=partial(_refusal, kernel))
        for kernel, devices in _DEVICES.items()
    ],
)
"""Backends of :func:`vdmbench.ops.attention`."""
