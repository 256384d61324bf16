"""Which storages a run makes and drops, seen at PyTorch's dispatcher: exact, for real and for fake tensors alike.

What a kernel allocates and frees inside itself is seen on the stand-in CUDA device as far as it is known
(:mod:`vdmbench.memory.cuda_kernels`), and not on real devices. Of PyTorch's Fourier transforms it is known on all: they copy
what they are given where the transformed axis is not the last one in memory, and on CUDA from complex to real always, as cuFFT
overwrites it there (``SpectralOps.cpp``, ``SpectralOps.cu``).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from vdmbench.memory.architecture import Architecture, architecture
from vdmbench.memory.cuda_kernels import KERNELS
from vdmbench.memory.fake_tensors import DEVICE_OF
from vdmbench.memory.stand_in import DEVICE
from vdmbench.memory.trace import Event, MemoryTrace, Phase

_FOURIER = {torch.ops.aten._fft_r2c.default, torch.ops.aten._fft_c2r.default, torch.ops.aten._fft_c2c.default}
OUTSIDE = "step"
"""Where a storage was born that no module was running for: the batch, noise, the loss."""


@dataclass(slots=True, eq=False)
class _Alive:
    """A storage that was born and has not died."""

    number: int
    reference: weakref.ref[Any] | None = None


class StorageTracker(TorchDispatchMode):
    """Writes the births and deaths of storages on one type of device into a trace.

    Enter it inside a fake-tensor mode, so that it sees what that mode answers. Its trace's owners are where each storage was
    born, ``activations: path`` or ``temporaries``, until :meth:`claim` says better.

    Args:
        device_type: whose storages are followed.
        card: on the stand-in device, the card whose kernels run.
    """

    def __init__(self, device_type: str, card: str = "") -> None:
        super().__init__()
        self._architecture: Architecture = architecture(card)
        self._inside_a_kernel = device_type != DEVICE
        self.trace = MemoryTrace()
        self._device_type = device_type
        self._alive: dict[int, _Alive] = {}  # by the storage's address
        self._born_in: dict[int, str] = {}
        self._modules: list[str] = []
        self._forward_ends: list[tuple[int, int]] = []  # events during a forward pass of the watched network
        self._forward_begin = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as of the fake tensors below it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is DEVICE_OF and isinstance(args[0], FakeTensor):
            return args[0].device
        kernel = None if self._inside_a_kernel else KERNELS.get(func)
        if kernel is not None and self._on_device(args):
            self._inside_a_kernel = True
            try:
                with self:  # which sees what the kernel allocates, its results among it
                    return kernel(func, self._architecture, *args, **(kwargs or {}))
            finally:
                self._inside_a_kernel = False
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self._see(out)
        elif isinstance(out, tuple | list):
            for each in out:
                if isinstance(each, Tensor):
                    self._see(each)
        if func in _FOURIER:
            self._copies_of_fourier(func, *args[:2])
        return out

    def _on_device(self, args: Any) -> bool:
        first = args[0][0] if isinstance(args[0], list | tuple) else args[0]
        return bool(first.device.type == self._device_type)

    def _copies_of_fourier(self, func: Any, given: Tensor, axes: list[int]) -> None:
        last = given.movedim(axes, tuple(range(-len(axes), 0))).is_contiguous()
        overwrites = func is torch.ops.aten._fft_c2r.default and self._device_type != "cpu"
        copies = [Event(self._number(), given.nbytes) for _ in range((not last) + overwrites)]
        self.trace.events += [*copies, *(Event(number, -nbytes) for number, nbytes in copies)]

    def _number(self) -> int:
        """The next storage's, born where the run is now."""
        number = len(self._born_in) + 1
        self._born_in[number] = self._modules[-1] if self._modules else OUTSIDE
        return number

    def _see(self, tensor: Tensor) -> None:
        if tensor.device.type != self._device_type:
            return
        storage = tensor.untyped_storage()
        address, nbytes = storage._cdata, storage.nbytes()
        if address in self._alive or nbytes == 0:
            return
        alive = self._alive[address] = _Alive(self._number())
        self.trace.events.append(Event(alive.number, nbytes))

        def died(_: Any) -> None:
            if self._alive.get(address) is alive:
                del self._alive[address]
                self.trace.events.append(Event(alive.number, -nbytes))

        alive.reference = weakref.ref(storage, died)

    def number(self, tensor: Tensor) -> int | None:
        """The number of a tensor's storage; None for one that was never seen."""
        found = self._alive.get(tensor.untyped_storage()._cdata)
        return None if found is None else found.number

    def claim(self, owner: str, *tensors: Tensor | None) -> None:
        """Say who holds the storages of ``tensors``."""
        for tensor in tensors:
            if tensor is not None and (number := self.number(tensor)) is not None:
                self.trace.owners[number] = owner

    def repeat(self, begin: int, *, replaced: Iterable[Tensor], lasting: Iterable[Tensor]) -> bool:
        """Write the events from ``begin`` on once more, as of a step that is run again, without running it.

        Args:
            replaced: what the step made and its repetition drops first, one after the other, and makes anew: gradients.
            lasting: what the step made and its repetition does not: the optimiser's state.

        Returns:
            False where the step left or dropped anything besides: its repetition may differ, nothing is written, and it has to
            be run.
        """
        step = self.trace.events[begin:]
        born = {event.storage for event in step if event.nbytes > 0}
        addresses = {alive.number: address for address, alive in self._alive.items()}
        dropped = list(dict.fromkeys(reversed([self.number(each) for each in replaced])))[::-1]  # one that is shared dies last
        stays = {self.number(each) for each in lasting}
        if born & addresses.keys() != {*dropped, *stays} or any(event.storage not in born for event in step):
            return False
        sizes = {event.storage: event.nbytes for event in step if event.nbytes > 0}
        self.trace.events += [Event(number, -sizes[number]) for number in dropped if number is not None]
        renumbered: dict[int, int] = {}
        positions = []  # of each event of the step, that of its repetition
        for storage, nbytes in step:
            positions.append(len(self.trace.events))
            if storage in stays:
                continue
            if nbytes > 0:
                renumbered[storage] = again = len(self._born_in) + 1
                self._born_in[again] = self._born_in[storage]
                if storage in self.trace.owners:
                    self.trace.owners[again] = self.trace.owners[storage]
            self.trace.events.append(Event(renumbered[storage], nbytes))
        positions.append(len(self.trace.events))
        self._forward_ends += [
            (positions[first - begin], positions[end - begin]) for first, end in self._forward_ends if first >= begin
        ]
        for number in dropped:
            if number is not None:
                self._alive[addresses[number]].number = renumbered[number]
        return True

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The events within are that phase's."""
        begin = len(self.trace.events)
        yield
        self.trace.phases.append(Phase(name, begin, len(self.trace.events)))

    def watch(self, network: nn.Module) -> None:
        """Name what is born in ``network`` by the module whose forward made it, and follow its gradients."""
        for path, module in network.named_modules():
            module.register_forward_pre_hook(lambda *_, path=path: self._enter(path))
            module.register_forward_hook(lambda *_: self._leave(), always_call=True)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(lambda each: self.claim("gradients", each.grad))

    def _enter(self, path: str) -> None:
        if not self._modules:
            self._forward_begin = len(self.trace.events)
        self._modules.append(path)

    def _leave(self) -> None:
        self._modules.pop()
        if not self._modules:
            self._forward_ends.append((self._forward_begin, len(self.trace.events)))

    def finish(self) -> MemoryTrace:
        """The trace, its owners complete: what outlives the forward pass that made it is an activation, the rest temporary."""
        born_at: dict[int, int] = {}
        died_at: dict[int, int] = {}
        for position, (storage, nbytes) in enumerate(self.trace.events):
            (born_at if nbytes > 0 else died_at)[storage] = position
        ends = iter(sorted(self._forward_ends))
        begin, end = next(ends, (0, 0))
        for storage in self._born_in:
            born = born_at[storage]
            while born >= end and (following := next(ends, None)):
                begin, end = following
            if storage in self.trace.owners:
                continue
            kept = begin <= born < end and died_at.get(storage, len(self.trace.events)) >= end
            self.trace.owners[storage] = f"activations: {self._born_in[storage]}" if kept else "temporaries"
        return self.trace
