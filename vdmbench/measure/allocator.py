"""Peaks of PyTorch's CUDA caching allocator over a phase.

Allocated is what live tensors hold, rounded up to the allocator's blocks; reserved is what the allocator holds of the device,
freed blocks that it keeps for reuse included. Neither sees the CUDA context or what libraries allocate on their own: NVML does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AllocatorReading:
    """All None where there is no CUDA device."""

    allocated_peak_bytes: int | None = None
    reserved_peak_bytes: int | None = None
    alloc_retries: int | None = None
    """Failed device allocations after which the cache was flushed and the allocation tried again."""
    ooms: int | None = None
    """Out-of-memory errors raised."""


class AllocatorPeaks:
    """Peaks and counts on one device since ``reset``.

    ``device`` is a PyTorch device string. On anything but CUDA every field of a reading is None; ``cuda`` without a CUDA
    device is a RuntimeError, for a run that believes it has a GPU must not go on with empty numbers.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._on_cuda = device.partition(":")[0] == "cuda"
        self._retries_before = self._ooms_before = 0
        if self._on_cuda:
            import torch

            if not torch.cuda.is_available():
                raise RuntimeError(f"device '{device}' was asked for, but PyTorch {torch.__version__} sees no CUDA device here")

    def reset(self) -> None:
        """Release cached blocks and begin anew; without the release, reserved memory would carry over from what ran before."""
        if not self._on_cuda:
            return
        import torch

        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        # These two count from the start of the process, and no reset of peaks touches them.
        statistics = torch.cuda.memory_stats(self._device)
        self._retries_before, self._ooms_before = statistics["num_alloc_retries"], statistics["num_ooms"]

    def read(self) -> AllocatorReading:
        """Peaks since the last reset. Does not synchronise: the allocator accounts on the host."""
        if not self._on_cuda:
            return AllocatorReading()
        import torch

        statistics = torch.cuda.memory_stats(self._device)
        return AllocatorReading(
            allocated_peak_bytes=torch.cuda.max_memory_allocated(self._device),
            reserved_peak_bytes=torch.cuda.max_memory_reserved(self._device),
            alloc_retries=statistics["num_alloc_retries"] - self._retries_before,
            ooms=statistics["num_ooms"] - self._ooms_before,
        )
