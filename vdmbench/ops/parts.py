"""The check that the tensors of an op fit each other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def check_parts(op: str, parts: Mapping[str, tuple[Tensor | None, tuple[int, ...]]]) -> None:
    """Raise ValueError, naming op and argument, where a tensor has not its shape, a floating dtype, or the first one's device.

    Under ``torch.autograd.set_detect_anomaly(True)`` a value that is not finite is refused too.

    Args:
        parts: argument name to tensor (None where it is absent, never the first) and the shape it must have.
    """
    first, (like, _) = next(iter(parts.items()))
    assert like is not None
    for name, (tensor, shape) in parts.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{op} takes {name} of shape {tuple(shape)}, got {tuple(tensor.shape)}")
        if not tensor.is_floating_point():
            raise ValueError(f"{op} takes {name} of a floating dtype, got {tensor.dtype}")
        if tensor.device != like.device:
            raise ValueError(f"{op} takes tensors of one device, got {first} on {like.device} and {name} on {tensor.device}")
        if torch.is_anomaly_enabled() and not torch.isfinite(tensor).all():
            raise ValueError(f"{op} got a non-finite value in {name}")
