"""The check that the tensors of an op fit each other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def check_parts(op: str, parts: Mapping[str, tuple[Tensor | None, tuple[int, ...]]], *, one_dtype: bool = False) -> None:
    """Raise ValueError, naming op and argument, where a tensor has not its shape, a floating dtype, or the first one's device.

    Values are not looked at: on a GPU that would wait for the device at every call, and a run that diverges should be seen to
    by its loss. Under ``torch.autograd.set_detect_anomaly(True)``, which waits anyway, one that is not finite is refused too.

    Args:
        parts: argument name to tensor (None where it is absent, never the first) and the shape it must have.
        one_dtype: all must have the dtype of the first too.
    """
    first, (like, _) = next(iter(parts.items()))
    assert like is not None
    reads_values = not torch.compiler.is_compiling() and torch.is_anomaly_enabled()  # the compiler leaves its graph to ask
    for name, (tensor, shape) in parts.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{op} takes {name} of shape {tuple(shape)}, got {tuple(tensor.shape)}")
        if not tensor.is_floating_point():
            raise ValueError(f"{op} takes {name} of a floating dtype, got {tensor.dtype}")
        if one_dtype and tensor.dtype is not like.dtype:
            raise ValueError(f"{op} takes tensors of one dtype, got {first} of {like.dtype} and {name} of {tensor.dtype}")
        if tensor.device != like.device:
            raise ValueError(f"{op} takes tensors of one device, got {first} on {like.device} and {name} on {tensor.device}")
        if reads_values and not torch.isfinite(tensor).all():
            raise ValueError(f"{op} got a non-finite value in {name}")


def check_heads(op: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError where q, k and v are not alike (batch, heads, frames, head_dim), as :func:`check_parts`."""
    if q.dim() != 4 or not q.shape == k.shape == v.shape or q.numel() == 0:
        raise ValueError(
            f"{op} takes q, k, v of one shape (batch, heads, frames, head_dim), none empty, got {tuple(q.shape)}, "
            f"{tuple(k.shape)}, {tuple(v.shape)}"
        )
    check_parts(op, {"q": (q, q.shape), "k": (k, q.shape), "v": (v, q.shape)}, one_dtype=True)
