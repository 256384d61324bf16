"""A hard limit on a worker's memory, so that a small card, or a small machine, is reproduced on a large one."""

from __future__ import annotations

import resource
from pathlib import Path


def enforce(limit: int, device: str) -> None:
    """From here on this process has at most ``limit`` bytes for what it computes; more is an out-of-memory error.

    On CUDA it is the share of the device that PyTorch's allocator may reserve. On the CPU it is private memory beyond what the
    process holds now (``RLIMIT_DATA``), libraries not counted.

    :raises ValueError: the device has less than the limit, so that nothing would be limited.
    """
    if device.startswith("cuda"):
        import torch

        total = torch.cuda.get_device_properties(device).total_memory
        if limit > total:
            raise ValueError(f"run.memory_limit is {limit:,} bytes and the device has {total:,}: it cannot play a larger card")
        index = torch.device(device).index
        # By number: "cuda", the first device, is no name that this function takes.
        torch.cuda.set_per_process_memory_fraction(limit / total, torch.cuda.current_device() if index is None else index)
        return
    held = _private_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (held + limit, held + limit))


def _private_bytes() -> int:
    """What the kernel counts against ``RLIMIT_DATA``: private writable mappings, touched or not."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise ValueError("run.memory_limit on a CPU needs Linux: /proc/self/status tells no VmData")
