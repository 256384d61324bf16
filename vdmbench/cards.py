"""Graphics cards by name, and what of their memory a process can have. Never imports torch."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

CONTEXT_BYTES = 600 * 2**20
"""Set aside for the CUDA context, loaded kernels and libraries' own memory, on every card alike: hundreds of MiB, by driver and
libraries. An assumption: a measured run tells NVML's peak and the allocator's apart."""


def usable_bytes(total_bytes: int) -> int:
    """What PyTorch's allocator can reserve of a card's memory."""
    return max(total_bytes - CONTEXT_BYTES, 0)


@dataclass(frozen=True)
class Device:
    """A card, or an amount of memory that stands for one."""

    name: str
    total_bytes: int
    """As the driver reports it (``nvidia-smi``)."""

    @property
    def called(self) -> str:
        """For a sentence or an axis: ``an A100 80GB``."""
        title = re.sub(r"^RTX(?=\d)", "RTX ", self.name.upper().replace("-", " "))
        return f"{'an' if title[0] in _SPOKEN_WITH_A_VOWEL else 'a'} {title}"

    @property
    def usable_bytes(self) -> int:
        """What PyTorch's allocator can reserve."""
        return usable_bytes(self.total_bytes)


DEVICES: dict[str, Device] = {
    name: Device(name, mebibytes * 2**20)
    for name, mebibytes in {
        "t4": 15360,
        "rtx4080": 16376,
        "l4": 23034,
        "rtx4090": 24564,
        "rtx3090": 24576,
        "rtx5090": 32607,
        "v100-32gb": 32768,
        "a100-40gb": 40960,
        "l40s": 46068,
        "a6000": 49140,
        "h100-80gb": 81559,
        "a100-80gb": 81920,
        "h200": 143771,
        "b200": 183359,
    }.items()
}


_FP32_AND_HALF = {
    "t4": (8.1, 65),
    "rtx4080": (48.7, 97.5),
    "l4": (30.3, 121),
    "rtx4090": (82.6, 165.2),
    "rtx3090": (35.6, 71),
    "rtx5090": (104.8, 209.5),
    "v100-32gb": (15.7, 125),
    "a100-40gb": (19.5, 312),
    "l40s": (91.6, 362),
    "a6000": (38.7, 154.8),
    "h100-80gb": (67, 989),
    "a100-80gb": (19.5, 312),
    "h200": (67, 989),
    "b200": (75, 2250),
}
"""TFLOP/s that NVIDIA's data sheets name: without tensor cores in fp32, and dense with them in half precision."""

PEAK_FLOPS: dict[str, dict[str, float]] = {
    name: {"fp32": 1e12 * single, "bf16": 1e12 * half, "fp16": 1e12 * half} for name, (single, half) in _FP32_AND_HALF.items()
}
"""FLOP/s of a card by precision."""

PLANNED_FOR = "a100-80gb"
"""The card that memory is planned for where a suite names none."""
_SPOKEN_WITH_A_VOWEL = "AHLR"
"""First letters of cards whose names are spoken letter by letter, and begin with a vowel."""


def device(name: str) -> Device:
    """The card of that name. Raises ValueError that names the closest."""
    if name not in DEVICES:
        close = difflib.get_close_matches(name, DEVICES, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(DEVICES)}"
        raise ValueError(f"unknown device '{name}', {hint}")
    return DEVICES[name]
