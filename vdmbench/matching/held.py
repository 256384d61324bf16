"""What one mixer keeps for its backward pass, in bytes a site, frame and channel: on a GPU, simulated, and on this CPU, really.
:mod:`vdmbench.matching.must_hold` has what it must keep.

On the GPU the mixer runs forward and backward on fake tensors of the stand-in device, twice, with a number of sites and with
twice as many; the difference leaves out what does not grow with them (parameters and their casts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.mixers.making import mixer_maker
from vdmbench.ops import recording, simulating

SITES = 1024


@dataclass(frozen=True)
class Held:
    """Of a training step of one mixer, in bytes a site, frame and channel.

    Attributes:
        held: alive between the passes, the input among it, the output not.
        peak: most that is alive at once, input, output and their gradients among it.
        operations: calls that PyTorch dispatches in both passes, a fused kernel being one; they stand for launches.
        backends: what computed each op.
    """

    held: float
    peak: float
    operations: int
    backends: dict[str, set[str]]


def held_memory(
    mixer: Mapping[str, Any],
    channels: int,
    frames: int,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cuda",
    sites: int = SITES,
) -> Held:
    """Simulate forward and backward of ``mixer``, as a suite declares it: float32, or half precision under autocast."""
    one, two = (_Step.of(mixer, channels, frames, dtype, device, count) for count in (sites, 2 * sites))
    numbers = sites * frames * channels
    return Held((two.held - one.held) / numbers, (two.peak - one.peak) / numbers, one.operations, one.backends)


@dataclass(frozen=True)
class _Step:
    held: int
    peak: int
    operations: int
    backends: dict[str, set[str]]

    @classmethod
    def of(cls, mixer: Mapping[str, Any], channels: int, frames: int, dtype: torch.dtype, device: str, sites: int) -> _Step:
        with stand_in_device(device) as stand_in, simulating(device), StorageTracker(stand_in.type) as tracker:
            with torch.device(stand_in):
                module = mixer_maker(mixer)(channels)
                before = _alive(tracker)
                x = torch.empty(sites, frames, channels, dtype=dtype, requires_grad=True)
            half = dtype in (torch.bfloat16, torch.float16)
            with recording() as used, _Counted() as counted:
                with torch.autocast(stand_in.type, dtype, enabled=half):
                    y = module(x)
                held = _alive(tracker) - before - y.untyped_storage().nbytes()
                y.backward(torch.empty_like(y))
            return cls(held, tracker.trace.requested_peak() - before, counted.operations, used)


def _alive(tracker: StorageTracker) -> int:
    return sum(event.nbytes for event in tracker.trace.events)


def held_on_cpu(mixer: Mapping[str, Any], channels: int, frames: int, *, sites: int = 8) -> float:
    """Bytes of the tensors that autograd saves in a real forward pass in float32 on the CPU, seen by its hooks on saved
    tensors; parameters apart, the input among them.

    What a kernel keeps outside autograd would not be seen: none of the CPU's does."""
    one, two = (_saved_on_cpu(mixer, channels, frames, count) for count in (sites, 2 * sites))
    return (two - one) / (sites * frames * channels)


def _saved_on_cpu(mixer: Mapping[str, Any], channels: int, frames: int, sites: int) -> int:
    module = mixer_maker(mixer)(channels)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    x = torch.randn(sites, frames, channels, requires_grad=True)
    saved: dict[int, torch.UntypedStorage] = {}

    def see(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        y = module(x)
    found = sum(storage.nbytes() for storage in saved.values())
    del y
    return found


class _Counted(TorchDispatchMode):
    """Counts calls that reach a kernel; views reach none."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += not func.is_view
        return func(*args, **(kwargs or {}))
