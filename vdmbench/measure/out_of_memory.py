"""Whether an error says that memory ran out: one answer for cells, probes and the bench.

PyTorch raises a class of its own for its caching allocator alone. What CUDA, its libraries, Triton, NCCL and PyTorch's CPU
allocator say is told by the text that each of them has for it. A word such as "memory" is no such text: after an illegal
access to it, nothing that the process holds can be trusted.
"""

from __future__ import annotations

import errno
import re

_SAID = re.compile(
    r"""
      \b(CUDA|HIP|MPS\ backend|XPU)\ out\ of\ memory                 # PyTorch's allocators, wrapped or rethrown
    | \b(CUDA|HIP)\ (driver\ )?error:\ out\ of\ memory               # the runtime, past the allocator
    | \bTriton\ Error\ \[(CUDA|HIP)\]:\ out\ of\ memory
    | \bCuda\ failure\ (\d+\ )?'?out\ of\ memory                     # NCCL
    | \bFailed\ to\ (CUDA|cuda)\ calloc                              # NCCL
    | \b(cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory)\b
    | \b(CU|HIP|ROC)\w+_STATUS_(\w+_)?ALLOC(ATION)?_FAILED\b         # cuBLAS, cuDNN, cuSOLVER, cuRAND
    | \b(CU|HIP)FFT_ALLOC_FAILED\b
    | CPUAllocator:\ (can't\ allocate\ memory|not\ enough\ memory)
    | \bunable\ to\ mmap\ .*\bCannot\ allocate\ memory
    | \bstd::bad_alloc\b
    """,
    re.VERBOSE | re.DOTALL,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or on the host, or ``error`` was raised from one that did."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and says_out_of_memory(str(error)):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def says_out_of_memory(text: str) -> bool:
    """Whether ``text``, of an error or of what a process wrote as it died, holds one of the texts for it."""
    return _SAID.search(text) is not None
