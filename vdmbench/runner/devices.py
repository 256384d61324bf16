"""Which GPU a worker gets, named by UUID so that NVML and CUDA mean the same one."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vdmbench.measure.nvml import Gpu, NvmlSampler, NvmlUnavailable, list_gpus
from vdmbench.runner.places import Place
from vdmbench.runner.visible_gpus import kinds, several_kinds, told, visible_gpus
from vdmbench.suite.blocks import Run


def choose_gpu(run: Run, place: Place | None = None) -> Gpu | None:
    """The first of :func:`choose_gpus`; None for a CPU run, and where NVML shows none."""
    return next(iter(choose_gpus(run, place)), None)


def choose_gpus(run: Run, place: Place | None = None, count: int = 1) -> list[Gpu]:
    """The first ``count`` GPUs of ``place``, else of those that ``CUDA_VISIBLE_DEVICES`` leaves; empty for a CPU run, and where
    NVML shows none.

    Raises ValueError where ``place`` or ``CUDA_VISIBLE_DEVICES`` names a device that is not there, or fewer than ``count``.
    """
    if run.device == "cpu":
        return []
    try:
        if place is not None and place.gpus:
            by_uuid = {gpu.uuid: gpu for gpu in list_gpus()}
            chosen = [_still_there(uuid, by_uuid) for uuid in place.gpus]
        else:
            chosen = visible_gpus()
            if "CUDA_VISIBLE_DEVICES" not in os.environ and several_kinds(chosen):
                raise ValueError(
                    f"this machine has {kinds(chosen)}, and which of them a cell gets would be chance; choose one with --gpus: "
                    f"{told(chosen)}"
                )
    except NvmlUnavailable:
        return []
    if chosen and len(chosen) < count:
        raise ValueError(
            f"train.devices is {count} and there is room for {len(chosen)}: give a cell as many GPUs, or train on fewer devices"
        )
    if count > 1 and any(gpu.is_part for gpu in chosen[:count]):
        raise ValueError(
            f"train.devices is {count} and {chosen[0].name} is a part of a GPU (MIG): CUDA lets processes that compute "
            "together have whole ones alone; train on one device, or undo the division"
        )
    return chosen[:count]


def _still_there(uuid: str, known: dict[str, Gpu]) -> Gpu:
    if uuid not in known:
        raise ValueError(f"GPU {uuid} was there when the run began and is not now; there are: {told(list(known.values()))}")
    return known[uuid]


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
            "wait, or choose another with CUDA_VISIBLE_DEVICES or --gpus"
        )


def refuse_shared_gpus(run: Run, places: Iterable[Place], devices: int = 1) -> None:
    """Raise ValueError where a GPU that a cell would get, ``devices`` in each place, is in use by somebody else."""
    for place in places:
        for gpu in choose_gpus(run, place, devices):
            refuse_shared_gpu(gpu)


def worker_environment(*gpus: Gpu | None) -> dict[str, str]:
    """Environment variables that pin a worker to ``gpus``, where there are any, and let CUDA be deterministic."""
    # Deterministic cuBLAS needs its workspace fixed before CUDA starts.
    fixed = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    uuids = [gpu.uuid for gpu in gpus if gpu is not None]
    return {**fixed, "CUDA_VISIBLE_DEVICES": ",".join(uuids)} if uuids else fixed
