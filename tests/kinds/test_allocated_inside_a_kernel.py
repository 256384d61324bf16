"""Kind: planned memory misses what a kernel of CUDA allocates on the way to its results: fake tensors have the results alone.

Found in fused attention of three kernels, group norm, RMS norm, gradients of look-ups, norms of lists, cuBLAS's workspaces and
the backward pass of Mamba's package; mended in vdmbench/memory/cuda_kernels.py, rms_norm.py, matching/simulation.py and the
package's operator. This search runs a training step of every mixer and of the UNet and lists each operation that is neither
element-wise nor a view. Attention, norms, norms of lists and cuBLAS were read in PyTorch's source and stand in KERNELS; what is
listed as allocating nothing is so by its definition, and of look-ups' gradients a part of the source was seen. Left:
workspaces of cuDNN's convolutions and recurrent layers and of cuFFT, which no source gives (docs/memory.md says so).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.memory.workloads import mixer, workload
from vdmbench import registry
from vdmbench.matching.simulation import run_steps
from vdmbench.memory.cuda_kernels import KERNELS
from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.mixers.making import mixer_maker
from vdmbench.ops import simulating

NOTHING = {
    *(
        "_foreach_add_",
        "_foreach_lerp_",
        "_foreach_mul_",
        "_fused_adam_",
        "_scaled_dot_product_efficient_attention",
        "_softmax",
    ),
    *(
        "_softmax_backward_data",
        "_to_copy",
        "_unsafe_view",
        "all",
        "arange",
        "cat",
        "complex",
        "constant_pad_nd",
        "copy_",
        "empty",
    ),
    *("empty_like", "fill_", "full", "index", "linalg_vector_norm", "masked_fill_", "mean", "native_layer_norm"),
    *(
        "native_layer_norm_backward",
        "new_empty",
        "new_empty_strided",
        "new_zeros",
        "normal_",
        "ones",
        "ones_like",
        "polar",
        "rand",
    ),
    *(
        "randint",
        "randn",
        "repeat",
        "select_backward",
        "slice_backward",
        "softplus_backward",
        "stack",
        "sum",
        "unfold_backward",
    ),
    *("uniform_", "zeros", "zeros_like"),
}
"""Results alone; reductions a few kilobytes of partial sums beside them."""
WORKSPACE = {"addmm", "bmm", "mm", "convolution", "convolution_backward"}
"""cuBLAS's are counted once for a pass (``CUBLAS_WORKSPACE``); cuDNN's are not known."""


class _Seen(TorchDispatchMode):
    """Names of operations of PyTorch that reach a kernel, but for those that go element by element."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "aten" and not (func.is_view or torch.Tag.pointwise in func.tags or _is_made_of_others(func)):
            self.names.add(func.name().partition("::")[2].partition(".")[0])
        return func(*args, **(kwargs or {}))


def _is_made_of_others(func: Any) -> bool:
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def operations() -> set[str]:
    seen = _Seen()
    declared = [mixer(entry.name) for entry in registry.mixers] + [mixer("attention", relative_bias=True)]
    for each in declared:
        with stand_in_device("cuda") as device, simulating("cuda"), StorageTracker(device.type), seen:
            with torch.device(device):
                module = mixer_maker(each)(16)
                x = torch.empty(3, 20, 16, requires_grad=True)
            with torch.autocast(device.type, torch.bfloat16):
                y = module(x)
            y.backward(torch.empty_like(y))
    with stand_in_device("cuda") as device, simulating("cuda"), StorageTracker(device.type) as tracker, seen:
        run_steps(workload(mixer("identity"), precision="bf16", clip_norm=1.0), device, tracker)
    return seen.names


def test_every_operation_of_a_training_step_was_read_for_what_it_allocates_inside() -> None:
    counted = {func.name().partition("::")[2].partition(".")[0] for func in KERNELS}
    unread = operations() - counted
    assert unread - NOTHING - WORKSPACE == set(), (
        "read in PyTorch's source what these allocate on CUDA: into KERNELS, or in here"
    )
    assert unread >= NOTHING | WORKSPACE, "in the list, and no mixer runs it"
