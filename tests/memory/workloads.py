"""The smallest workloads: a network of one level at toy width, so that one simulation takes a second."""

from __future__ import annotations

from typing import Any

from vdmbench import registry
from vdmbench.matching.workload import Workload
from vdmbench.records import PlannedMemory
from vdmbench.suite.blocks import Sample, Train


def mixer(name: str, **options: Any) -> dict[str, Any]:
    """A mixer as a suite declares it."""
    return {"name": name, **registry.mixers[name].load_options()(**options).model_dump()}


def network(**options: Any) -> dict[str, Any]:
    """The UNet, of 8 channels and one level unless told."""
    declared = registry.networks["unet3d"].load_options()(**{"base_channels": 8, "multipliers": (1,), **options})
    return {"name": "unet3d", **declared.model_dump()}


def beside_workspaces(peak: PlannedMemory) -> int:
    """Bytes that follow from the network: those of cuBLAS are the same for every one, and most of a toy's."""
    return peak.allocated_peak_bytes - peak.holders["workspaces"]


def workload(temporal: dict[str, Any], *, frames: int = 4, size: int = 8, **train: Any) -> Workload:
    """Two clips in a batch, trained and sampled."""
    return Workload(
        network(),
        temporal,
        frames,
        size,
        Train(**{"steps": 2, "batch_size": 2, **train}),
        Sample(clips=4, batch_size=2, precision=train.get("precision", "fp32")),
    )
