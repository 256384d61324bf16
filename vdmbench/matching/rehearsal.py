"""A cell's own steps on clips of zeros, before the cell: kernels are compiled, and the CPU's live tensors counted.

They are the steps that planned memory is simulated from (:func:`~vdmbench.matching.simulation.run_steps`), run for real: two
of the optimiser, and two noise levels of two batches of clips. Kernels that compile themselves (Numba's, Triton's) leave their
code in a cache on disk, so that a process that comes later compiles nothing. Nothing is timed here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vdmbench.matching.simulation import PHASES, run_steps
from vdmbench.matching.workload import Workload
from vdmbench.measure.live_tensors import LiveTensors
from vdmbench.memory.storages import StorageTracker
from vdmbench.records import Rehearsal


def rehearse(workload: Workload, device: torch.device) -> Rehearsal:
    """Run the steps of both phases on ``device``, but for a phase that is compiled whole, which compiles in the cell's own
    warm-up. Whatever stands in their way is said and not raised: the cell will meet it itself."""
    began = time.perf_counter()
    live: dict[Any, int] = {}
    failed = None
    try:
        live = _steps(workload, device)
    except Exception as error:  # a user's mixer may raise anything
        failed = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return Rehearsal(seconds=time.perf_counter() - began, live_peak_bytes=live, failed=failed)


def _steps(workload: Workload, device: torch.device) -> dict[str, int]:
    compiled = {"train": workload.train.compile, "sample": workload.sample.compile}
    phases = [phase for phase in PHASES if not compiled[phase]]
    plain = replace(
        workload,
        train=workload.train.model_copy(update={"compile": False}),
        sample=workload.sample.model_copy(update={"compile": False}),
    )
    # Of several devices each holds buckets for the gradients besides, which no single process has.
    counts = device.type == "cpu" and workload.train.devices == 1
    with LiveTensors() if counts else nullcontext() as live:
        run_steps(plain, device, _Marks(device.type, live), phases)
    return live.peaks if live is not None else {}


class _Marks(StorageTracker):
    """Marks the phases, and follows no storage."""

    def __init__(self, device_type: str, live: LiveTensors | None) -> None:
        super().__init__(device_type)
        self._live = live

    def watch(self, network: nn.Module) -> None:
        pass

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        with nullcontext() if self._live is None else self._live.phase(name):
            yield
