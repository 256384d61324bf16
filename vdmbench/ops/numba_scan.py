"""The selective scans on the CPU as PyTorch operators over the kernels of :mod:`vdmbench.ops.scan_kernels`.

Operators of ``torch.library``, so that fake tensors pass through them: memory is planned without running a kernel. They save
their inputs for the backward pass and nothing else. Numba is imported when a scan first runs. (``torch.library.custom_op``
would do the same in fewer lines, but imports ``torch._dynamo`` at its first call, which takes over a second.)
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.ops.direction import Direction

_one_at_a_time = threading.Lock()  # Numba's simplest threading layer ends the process when two threads enter it
_ELEMENTS_A_THREAD = 16384
"""Fewest elements of x worth waking a thread for; results do not depend on the number of threads."""
_MERGES = {"single": 0, "sum": 1, "product": 2, "concat": 3, "quasi-separable": 4}


def numba_missing() -> str | None:
    """None where Numba is installed, else how to install it."""
    return None if importlib.util.find_spec("numba") else "numba is not installed; pip install numba"


def numba_scan(
    ahead: Direction, back: Direction | None, gate: Tensor | None, merge: str, softplus: bool, reverse: bool
) -> Tensor:
    """One scan (``back`` None, merge ``single``) or two that merge.

    Computed in float64 where x is, in float32 otherwise; y and every gradient have the dtype of what they belong to.
    """
    tensors = [[] if direction is None else _filled(direction) for direction in (ahead, back)]
    return torch.ops.vdmbench.numba_scan(*tensors, gate, _MERGES[merge], softplus, reverse)


def _filled(direction: Direction) -> list[Tensor]:
    x, dt, A, B, C, D, dt_bias = direction
    none = A.new_zeros(A.shape[0])
    return [x, dt, A, B, C, none if D is None else D, none if dt_bias is None else dt_bias]


_INPUTS = "Tensor[] ahead, Tensor[] back, Tensor? gate, int how, bool softplus, bool reverse"
torch.library.define("vdmbench::numba_scan", f"({_INPUTS}) -> Tensor")
torch.library.define("vdmbench::numba_scan_backward", f"(Tensor d_out, {_INPUTS}) -> Tensor[]")


@torch.library.impl("vdmbench::numba_scan", "CPU")
def _scan(ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool) -> Tensor:
    from vdmbench.ops import scan_kernels

    padding = _Padding(ahead)
    first = padding.direction(ahead)
    second = padding.direction(back) if back else first
    gate_padded = padding.channels(gate) if gate is not None else first[0]
    batch, frames, channels = first[0].shape
    out = np.empty((batch, frames, 2 * channels if how == _MERGES["concat"] else channels), padding.dtype)
    run_kernel(scan_kernels.forward, first[0].size, out, first, second, gate_padded, gate is not None, how, softplus, reverse)
    return padding.merged(out, how).to(ahead[0].dtype)


@torch.library.register_fake("vdmbench::numba_scan")
def _(ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool) -> Tensor:
    batch, frames, channels = ahead[0].shape
    return ahead[0].new_empty(batch, frames, 2 * channels if how == _MERGES["concat"] else channels)


@torch.library.impl("vdmbench::numba_scan_backward", "CPU")
def _scan_backward(
    d_out: Tensor, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool
) -> list[Tensor]:
    """Gradients of each tensor of ``ahead``, of each of ``back``, and of the gate where there is one."""
    from vdmbench.ops import scan_kernels

    padding = _Padding(ahead)
    first = padding.direction(ahead)
    second = padding.direction(back) if back else first
    groups = min(first[0].shape[0], scan_kernels.GROUPS)
    gate_padded = padding.channels(gate) if gate is not None else first[0]
    d_gate = np.empty_like(gate_padded) if gate is not None else gate_padded
    d_first = padding.gradients(first, groups)
    d_second = padding.gradients(second, groups) if back else d_first
    d_padded = padding.split(d_out, how)
    run_kernel(
        scan_kernels.backward,
        first[0].size,
        d_padded,
        first,
        second,
        gate_padded,
        d_first,
        d_second,
        d_gate,
        gate is not None,
        how,
        softplus,
        reverse,
    )
    found = padding.unpadded(d_first) + (padding.unpadded(d_second) if back else [])
    if gate is not None:
        found.append(padding.merged(d_gate, _MERGES["single"]))
    wanted = [*ahead, *back, *([] if gate is None else [gate])]
    return [gradient.to(tensor.dtype) for gradient, tensor in zip(found, wanted, strict=True)]


@torch.library.register_fake("vdmbench::numba_scan_backward")
def _(
    d_out: Tensor, ahead: list[Tensor], back: list[Tensor], gate: Tensor | None, how: int, softplus: bool, reverse: bool
) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in [*ahead, *back, *([] if gate is None else [gate])]]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ahead, back, gate, *ctx.flags = inputs
    ctx.counts = len(ahead), len(back)
    ctx.save_for_backward(*ahead, *back, gate)


def _differentiate(ctx: Any, d_out: Tensor) -> tuple[Any, ...]:
    *tensors, gate = ctx.saved_tensors
    count = ctx.counts[0]
    ahead, back = tensors[:count], tensors[count:]
    gradients = torch.ops.vdmbench.numba_scan_backward(d_out, ahead, back, gate, *ctx.flags)
    d_gate = gradients[-1] if gate is not None else None
    return gradients[:count], gradients[count : count + len(back)], d_gate, None, None, None


torch.library.register_autograd("vdmbench::numba_scan", _differentiate, setup_context=_setup)


def run_kernel(kernel: Any, elements: int, *arguments: Any) -> None:
    """Run a Numba kernel on as many threads as PyTorch uses, or fewer where x has few elements."""
    import numba

    threads = torch.get_num_threads()
    with _one_at_a_time:
        before = numba.get_num_threads()
        if torch.get_num_threads() != threads:  # Numba's OpenMP layer, as it starts, sets the count that PyTorch reads
            torch.set_num_threads(threads)
        wanted = max(1, min(threads, before, elements // _ELEMENTS_A_THREAD))
        if wanted == before:
            kernel(*arguments)
            return
        numba.set_num_threads(wanted)
        try:
            kernel(*arguments)
        finally:
            numba.set_num_threads(before)


def own_array(parameter: Tensor, dtype: torch.dtype) -> np.ndarray:
    """A copy of a parameter for a kernel. A storage that an array shares cannot be resized again, and sharding (FSDP) frees the
    gathered parameters so. The copy is no tensor: memory is planned without it."""
    wide = {torch.float32: np.float32, torch.float64: np.float64}[dtype]
    return np.array(parameter.detach().tolist(), wide)


class _Padding:
    """Tensors to the zero-padded C-contiguous arrays that kernels take, and back."""

    def __init__(self, direction: list[Tensor]) -> None:
        from vdmbench.ops import row_kernels

        self.wide = torch.promote_types(direction[0].dtype, torch.float32)
        self.dtype = np.float64 if self.wide is torch.float64 else np.float32
        self.width, self.decays = direction[2].shape
        self.states = direction[3].shape[2]
        self._channels = -self.width % row_kernels.lanes(np.dtype(self.dtype).itemsize)
        self._states = -self.states % row_kernels.STATES

    def _array(self, tensor: Tensor, *padding: int) -> np.ndarray:
        return (
            F.pad(tensor.detach().to(self.wide), padding).contiguous().numpy()
            if any(padding)
            else (tensor.detach().to(self.wide).contiguous().numpy())
        )

    def channels(self, tensor: Tensor) -> np.ndarray:
        return self._array(tensor, 0, self._channels)

    def _parameter(self, tensor: Tensor) -> np.ndarray:
        return self.channels(tensor) if self._channels else own_array(tensor, self.wide)

    def direction(self, direction: list[Tensor]) -> tuple[np.ndarray, ...]:
        x, dt, A, B, C, D, dt_bias = direction
        exponent = A.detach().to(self.wide).T / float(np.log(2))  # exp(delta A) = 2^(delta A / ln 2)
        decays = 0 if self.decays == 1 < self.states else self._states  # one row is of all states
        return (
            self.channels(x),
            self.channels(dt),
            self._array(exponent, 0, self._channels, 0, decays),
            self._array(B, 0, self._states),
            self._array(C, 0, self._states),
            self._parameter(D),
            self._parameter(dt_bias),
        )

    def gradients(self, direction: tuple[np.ndarray, ...], groups: int) -> tuple[np.ndarray, ...]:
        x, dt, A, B, C, D, dt_bias = direction
        per_group = [np.zeros((groups, *parameter.shape), self.dtype) for parameter in (A, D, dt_bias)]
        return (np.empty_like(x), np.empty_like(dt), per_group[0], np.empty_like(B), np.empty_like(C), *per_group[1:])

    def unpadded(self, gradients: tuple[np.ndarray, ...]) -> list[Tensor]:
        dx, ddt, dA, dB, dC, dD, ddt_bias = gradients
        dA, dD, ddt_bias = (np.add.reduce(per_group, 0) for per_group in (dA, dD, ddt_bias))
        width, states = self.width, self.states
        parts = (
            dx[..., :width],
            ddt[..., :width],
            dA[: self.decays, :width].T,
            dB[..., :states],
            dC[..., :states],
            dD[:width],
            ddt_bias[:width],
        )
        return [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]

    def split(self, d_out: Tensor, how: int) -> np.ndarray:
        """The gradient of the merged output, each direction's part padded."""
        if how != _MERGES["concat"] or not self._channels:
            return self.channels(d_out)
        return self._array(torch.cat([F.pad(part, (0, self._channels)) for part in d_out.chunk(2, -1)], -1))

    def merged(self, out: np.ndarray, how: int) -> Tensor:
        """The merged output without the padding of each direction's part."""
        tensor = torch.from_numpy(out)
        if not self._channels:
            return tensor
        parts = tensor.chunk(2, -1) if how == _MERGES["concat"] else [tensor]
        return torch.cat([part[..., : self.width] for part in parts], -1)
