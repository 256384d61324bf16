"""What a run costs and where it ran: memory by three instruments, time, and the environment.

Importing this package does not import torch: the supervising parent samples NVML without it. Bytes and seconds throughout;
None where a thing could not be known.
"""

from __future__ import annotations

from vdmbench.measure.allocator import AllocatorPeaks
from vdmbench.measure.cohort import hardware_cohort
from vdmbench.measure.environment import capture
from vdmbench.measure.nvml import Gpu, NvmlReading, NvmlSampler, NvmlUnavailable, list_gpus
from vdmbench.measure.out_of_memory import is_out_of_memory, says_out_of_memory
from vdmbench.measure.phase import PhaseMeter, PhaseReading
from vdmbench.measure.process_memory import RssPeak, RssReading
from vdmbench.measure.timing import Spread, StepTimer, spread, synchronise

__all__ = [
    "AllocatorPeaks",
    "Gpu",
    "NvmlReading",
    "NvmlSampler",
    "NvmlUnavailable",
    "PhaseMeter",
    "PhaseReading",
    "RssPeak",
    "RssReading",
    "Spread",
    "StepTimer",
    "capture",
    "hardware_cohort",
    "is_out_of_memory",
    "list_gpus",
    "says_out_of_memory",
    "spread",
    "synchronise",
]
