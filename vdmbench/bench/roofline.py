"""What the machine can do at best, measured in the same run, and which share of it a contender reaches.

Williams et al. 2009, "Roofline: an insightful visual performance model" (CACM 52, sec. 3): a step takes at least the time of
its FLOPs at the machine's rate of matrix products, and at least the time of its bytes at the rate of a copy; the larger of
both over the measured time is the share. Bytes are ideal: inputs read and output written once, nothing between; in training
the inputs are read once more, the output's gradient read and the gradients written. FLOPs of a training step are three
forward passes'.

Rates are of PyTorch's own matrix product and copy, on the same threads, in the same rounds as the steps: a slow moment falls on
them too. The copy moves as many bytes as the step, so that a step which stays in the caches is held to a copy that does.
Exponentials and additions count as FLOPs, but no machine does them at the rate of matrix products: a scan's share says how far
it is from free, not from possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vdmbench.bench.contest import Inputs, Task, leaves
from vdmbench.bench.workload import Workload

LARGEST_COPY = 2**29
"""Bytes read and written; larger ones are no slower a byte."""


class Copy:
    """A copy between two buffers that reads and writes about as many bytes as asked for, within 8 KiB and 512 MiB."""

    def __init__(self, moved: int, device: str) -> None:
        elements = min(max(moved, 8192), LARGEST_COPY) // 8
        self._source, self._target = torch.ones(elements, device=device), torch.zeros(elements, device=device)
        self.work = 8 * elements
        """Bytes."""

    def __call__(self) -> None:
        self._target.copy_(self._source)


class MatrixProduct:
    """A product of two square matrices, large enough for the device to run at its best."""

    def __init__(self, workload: Workload) -> None:
        size = 8192 if workload.device == "cuda" else 1024
        self._left, self._right = (torch.randn(size, size, device=workload.device).to(workload.torch_dtype) for _ in range(2))
        self.work = 2 * size**3
        """FLOPs."""

    def __call__(self) -> None:
        torch.mm(self._left, self._right)


@dataclass(frozen=True)
class Ideal:
    """What a step must do at least."""

    flops: int | None
    bytes: int


def ideal(task: Task, inputs: Inputs, output: Tensor, workload: Workload) -> Ideal:
    """Of one step; FLOPs are None where the contender does not say them. An output that is an input costs nothing."""
    if any(output.data_ptr() == part.data_ptr() for part in inputs):
        return Ideal(task.flops, 0)
    read = sum(part.nbytes for part in (*inputs, *task.parameters))
    if not workload.training:
        return Ideal(task.flops, read + output.nbytes)
    written = sum(part.nbytes for part in leaves(inputs, task))
    return Ideal(None if task.flops is None else 3 * task.flops, 2 * read + written + 2 * output.nbytes)


@dataclass(frozen=True)
class Share:
    """The share of the roofline, and which roof: ``compute`` or ``bandwidth``."""

    share: float
    bound: str


def share_of_roofline(work: Ideal, seconds: float, matmul_rate: float, copy_rate: float) -> Share | None:
    """None where the FLOPs are unknown, or nothing need be done."""
    if work.flops is None or work.flops == work.bytes == 0:
        return None
    compute, bandwidth = work.flops / matmul_rate, work.bytes / copy_rate
    return Share(max(compute, bandwidth) / seconds, "compute" if compute > bandwidth else "bandwidth")
