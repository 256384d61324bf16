"""Which GPU a worker gets, named by UUID so that NVML and CUDA mean the same one."""

from __future__ import annotations

import os

from vdmbench.measure.nvml import Gpu, NvmlSampler, NvmlUnavailable, list_gpus
from vdmbench.runner.places import Place
from vdmbench.suite.blocks import Run


def choose_gpu(run: Run, place: Place | None = None) -> Gpu | None:
    """The first GPU of ``place``, else the first that ``CUDA_VISIBLE_DEVICES`` leaves; None for a CPU run, and where NVML
    shows none.

    Raises ValueError where ``place`` or ``CUDA_VISIBLE_DEVICES`` names a device that is not there.
    """
    if place is not None and place.gpus:
        return next(gpu for gpu in list_gpus() if gpu.uuid == place.gpus[0])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if run.device == "cpu" or visible == "":
        return None
    try:
        gpus = list_gpus()
    except NvmlUnavailable:
        return None
    if not gpus or visible is None:
        return gpus[0] if gpus else None
    first = visible.split(",")[0].strip()
    for index, gpu in enumerate(gpus):
        if first == str(index) or gpu.uuid.startswith(first):
            return gpu
    raise ValueError(f"CUDA_VISIBLE_DEVICES={visible}: no such GPU; there are: {', '.join(gpu.uuid for gpu in gpus)}")


def refuse_shared_gpu(gpu: Gpu | None) -> None:
    """Raise ValueError where somebody else computes on ``gpu``: memory and time would be theirs too."""
    if gpu is None:
        return
    with NvmlSampler(gpu.uuid) as sampler:
        others = sampler.stop().foreign_processes
    if others:
        plural = "es" if others > 1 else ""
        raise ValueError(
            f"{gpu.name} ({gpu.uuid}) is in use by {others} other process{plural}, and peaks and times would be wrong; "
            "wait, or choose another with CUDA_VISIBLE_DEVICES"
        )


def worker_environment(gpu: Gpu | None) -> dict[str, str]:
    """Environment variables that pin a worker to ``gpu`` and let CUDA be deterministic."""
    # Deterministic cuBLAS needs its workspace fixed before CUDA starts.
    fixed = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    return fixed if gpu is None else {**fixed, "CUDA_VISIBLE_DEVICES": gpu.uuid}
