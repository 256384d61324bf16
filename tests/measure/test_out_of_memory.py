"""Out of memory is told by what each library says of it, and nothing else is taken for it."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch

from vdmbench.measure.out_of_memory import is_out_of_memory

SPELLINGS = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.20 GiB is free.",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    "CUDA driver error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "CURAND_STATUS_ALLOCATION_FAILED",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "Triton Error [CUDA]: out of memory",
    "NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled cuda error\nLast error:\nCuda failure 2 'out of memory'",
    "NCCL error in: ProcessGroupNCCL.cpp:3690\nLast error:\nFailed to CUDA calloc async 608 bytes",
    "HIP out of memory. Tried to allocate 20.00 MiB.",
    "backend='inductor' raised:\nOutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 4503599627370496 bytes.",
    "unable to mmap 4096 bytes from file <weights.safetensors>: Cannot allocate memory (12)",
    "std::bad_alloc",
]
OTHERS = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: invalid configuration argument"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("out of resource: shared memory, Required: 262144, Hardware limit: 232448. Reducing block sizes may help"),
    RuntimeError("unsupported operation: some elements of the input tensor refer to a single memory location"),
    RuntimeError("pin memory thread exited unexpectedly"),
    RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:3690, remote process exited or there was a network error"),
    ValueError("CUDA out of memory is what this option is for"),
    OSError("libgomp.so.1: cannot allocate memory in static TLS block"),
    OSError(errno.ENOSPC, "No space left on device"),
    torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1"),
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_library_has_words_of_its_own(text):
    assert is_out_of_memory(RuntimeError(text))
    assert is_out_of_memory(torch.AcceleratorError(text))


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_what_only_speaks_of_memory_is_another_error(error):
    assert not is_out_of_memory(error)


def test_classes_tell_by_themselves():
    assert is_out_of_memory(torch.OutOfMemoryError("anything"))
    assert is_out_of_memory(torch.distributed.DistBackendError("Last error:\nCuda failure 2 'out of memory'"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))


def test_what_really_runs_out_is_known():
    for asks in (lambda: torch.empty(2**50), lambda: np.empty(2**50), lambda: bytearray(2**62)):
        with pytest.raises((RuntimeError, MemoryError)) as raised:
            asks()
        assert is_out_of_memory(raised.value)


def test_an_error_raised_from_one_that_ran_out_is_one_and_an_error_while_handling_it_is_not():
    def failing(cause):
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        except torch.OutOfMemoryError as error:
            raise KeyError("layer 3") from (error if cause else None)

    for cause in (True, False):
        with pytest.raises(KeyError) as raised:
            failing(cause)
        assert is_out_of_memory(raised.value) is cause
