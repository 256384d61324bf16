"""What is kept or handed on is tested first: a NaN that is written once is found by everything that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from vdmbench.engine.events import NonFinite


def require_finite(values: Tensor, what: str) -> Tensor:
    """``values``. Raises :class:`NonFinite`, which names ``what`` they are, where one of them is NaN or infinite."""
    if not torch.isfinite(values).all():
        raise NonFinite(f"{what} hold NaN or infinite values")
    return values


def not_finite(tensors: Mapping[str, Tensor], may_be_infinite: Iterable[str] = ()) -> list[str]:
    """Names of those that hold a NaN or an infinite value; of buffers, such as masks, that ``may_be_infinite``, a NaN.

    One number is read from the device where all are well, whatever their count.
    """
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    masks = set(may_be_infinite) & floating.keys()
    strict = [tensor for name, tensor in floating.items() if name not in masks]
    if _largest_is_finite(strict) and not any(floating[name].isnan().any() for name in masks):
        return []
    return [
        name
        for name, tensor in floating.items()
        if bool(tensor.isnan().any() if name in masks else not tensor.isfinite().all())
    ]


def _largest_is_finite(tensors: list[Tensor]) -> bool:
    """Whether the largest magnitude of all is a number: unlike a sum of squares it does not overflow."""
    if not tensors:
        return True
    largest = torch._foreach_norm(tensors, ord=float("inf"))
    return bool(torch.stack([each.float() for each in largest]).isfinite().all())


def spoiled(tensors: Mapping[str, Any]) -> list[str]:
    """Names of the tensors of a :class:`~vdmbench.engine.events.TrainingState` that hold a NaN or an infinite value.

    Buffers of the network, which are the tensors that the optimiser does not know, may be infinite: masks are.
    """
    flat = dict(_flat(tensors))
    trained = tensors.get("optimiser", {})
    networks = ("network.", "average.module.")
    buffers = [
        name for name in flat for prefix in networks if name.startswith(prefix) and name.removeprefix(prefix) not in trained
    ]
    return not_finite(flat, may_be_infinite=buffers)


def _flat(tensors: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
