"""Programs whose allocations real GPUs recorded, written anew: what is planned for them is what was recorded.

The recordings are public snapshots of PyTorch's allocator (a linear layer of 10,000 by 50,000 that is applied three times, with
and without a gradient; shreyansh26/MLSys-Experiments). Their sizes and order stand here; nothing is read from them.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vdmbench.memory.allocator import replay
from vdmbench.memory.cuda_kernels import CUBLAS_WORKSPACE
from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.memory.trace import MemoryTrace

WEIGHT, BIAS, X, Y = 2_000_000_000, 200_000, 200_000_000, 1_000_000_000
RECORDED = {
    True: [WEIGHT, BIAS, X, Y, X, Y, -X, -Y, X, Y, -X, -Y],
    False: [WEIGHT, BIAS, X, Y, X, -X, Y, -Y, X, -X, Y, -Y],
}
"""Births and deaths by whether a gradient is kept, but cuBLAS's own."""
SEGMENTS = 2_000_683_008 + 2_097_152 + 2 * 201_326_592 + 2 * 1_000_341_504 + 33_554_432
"""Bytes of the device that the allocator had at the end, the last of them for cuBLAS at its first product (a Hopper GPU)."""


def planned(keeps_gradient: bool, workspace: int) -> MemoryTrace:
    with stand_in_device("cuda", "h100-80gb") as device, StorageTracker(device.type, "h100-80gb") as tracker:
        with torch.set_grad_enabled(keeps_gradient), tracker.phase("run"):
            layer = nn.Linear(10_000, 50_000, device=device)
            held = torch.empty(workspace, dtype=torch.uint8, device=device) if workspace else None
            for _ in range(3):
                x = torch.empty(5_000, 10_000, device=device)
                y = layer(x)
        trace = tracker.finish()
        del held, x, y
    return trace


@pytest.mark.parametrize("keeps_gradient", [True, False])
def test_the_same_storages_are_born_and_die_in_the_same_order(keeps_gradient):
    trace = planned(keeps_gradient, 0)
    phase = trace.phases[0]
    assert [event.nbytes for event in trace.events[phase.begin : phase.end]] == RECORDED[keeps_gradient]


@pytest.mark.parametrize("keeps_gradient", [True, False])
def test_the_same_segments_are_asked_of_the_device_and_the_workspace_among_them(keeps_gradient):
    """Without it a plan was 0.76 % short here, and half of a network of 64 MiB."""
    assert replay(planned(keeps_gradient, CUBLAS_WORKSPACE))["run"].reserved_peak == SEGMENTS
    assert replay(planned(keeps_gradient, 0))["run"].reserved_peak == SEGMENTS - CUBLAS_WORKSPACE
