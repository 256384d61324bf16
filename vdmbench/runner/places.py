"""Where on a machine a cell runs: the GPUs and the CPU cores that it may use, which no other cell of the run shares.

A machine is divided into equal places, because a cell's speed, and with it the hardware cohort of its record, depends on
the cores that it has. What is left over stays idle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdmbench.measure.nvml import Gpu, NvmlUnavailable, list_gpus
from vdmbench.runner.visible_gpus import NoSuchGpu, gpu_is_visible, told, visible_gpus
from vdmbench.suite.blocks import Run


class NoSuchPlace(ValueError):
    """A machine that cannot be divided as asked; the message says by what, and what can be had."""


@dataclass(frozen=True)
class Place:
    """A part of one machine. The default is all of it, chosen as PyTorch would: for a cell that runs alone."""

    gpus: tuple[str, ...] = ()
    """UUIDs; none leaves the choice to ``run.device`` and ``CUDA_VISIBLE_DEVICES``."""
    cores: tuple[int, ...] = ()
    """Numbers as the operating system counts; none leaves the worker all that its parent may use."""
    cells_at_once: int = 1
    """Places that the machine was divided into: how many cells may have been running beside each other."""

    def as_environment(self) -> dict[str, Any]:
        """For the record: null where nothing was pinned."""
        return {"cells_at_once": self.cells_at_once, "cores": list(self.cores) or None, "gpus": list(self.gpus) or None}

    def environment_variables(self) -> dict[str, str]:
        """Thread pools as large as the cores that a worker has; none where it has them all."""
        threads = str(len(self.cores))
        return {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads} if self.cores else {}


def divide(run: Run, *, gpus: str | None = None, jobs: int | None = None, devices: int = 1) -> list[Place]:
    """The places of this machine for ``jobs`` cells at a time.

    :param gpus: what ``--gpus`` says: ``all``, or indices and UUIDs with commas. One place a device, or ``jobs`` of them.
    :param jobs: how many cells at a time; None is one, or with ``gpus`` one a device.
    :param devices: GPUs that a cell takes.
    :raises NoSuchPlace: two cells would share a device or a core, on which memory and time are measured.
    """
    if gpus is None:
        cells = jobs or 1
        if cells > 1 and run.device != "cpu" and gpu_is_visible():
            raise NoSuchPlace(
                f"--jobs {cells}: cells would share a GPU, and memory and time are measured on it; "
                f"name {cells} with --gpus, or set run.device=cpu"
            )
        groups: list[tuple[str, ...]] = [()] * cells
    else:
        if run.device == "cpu":
            raise NoSuchPlace(f"--gpus {gpus}: the suite says run.device: cpu; leave out --gpus, or set run.device=cuda")
        named = [gpu.uuid for gpu in named_gpus(gpus)]
        groups = [tuple(named[at : at + devices]) for at in range(0, len(named) - devices + 1, devices)]
        if not groups:
            raise NoSuchPlace(f"--gpus {gpus}: a cell takes {devices} (train.devices), and that names {len(named)}")
        if jobs is not None and jobs > len(groups):
            raise NoSuchPlace(
                f"--jobs {jobs} on {len(named)} GPU{'s' * (len(named) > 1)}: memory and time are measured, so "
                f"{'a device runs one cell at a time' if devices == 1 else f'{devices} devices run one cell at a time'}; "
                f"leave out --jobs, or name {jobs * devices} with --gpus"
            )
        groups = groups[:jobs]
    if len(groups) == 1:
        return [Place(groups[0])]
    cores = equal_shares(usable_cores(), len(groups))
    return [Place(group, share, len(groups)) for group, share in zip(groups, cores, strict=True)]


def equal_shares(cores: Sequence[int], shares: int) -> list[tuple[int, ...]]:
    """Disjoint sets of equally many cores, neighbours together.

    :raises NoSuchPlace: there are fewer cores than sets.
    """
    size = len(cores) // shares
    if size == 0:
        raise NoSuchPlace(
            f"--jobs {shares}: this process may use {len(cores)} core{'s' * (len(cores) != 1)}, and no two cells share one; "
            f"ask for at most --jobs {len(cores)}"
        )
    return [tuple(cores[at * size : (at + 1) * size]) for at in range(shares)]


def usable_cores(root: Path = Path("/")) -> list[int]:
    """Cores that this process may keep busy: those of its affinity, and no more than its control groups' CPU quota pays for.

    Hardware threads of one core stand beside each other, so that a share of several holds whole cores. ``root`` is where /proc
    and /sys are found.
    """
    allowed = os.sched_getaffinity(0)
    cores = sorted(allowed, key=lambda core: (min(_siblings(core, root)), core))
    quota = _cpu_quota(root)
    return cores if quota is None else cores[: max(1, int(quota))]


def _siblings(core: int, root: Path) -> list[int]:
    """The hardware threads of the physical core; the thread alone where the system does not tell."""
    told = root / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
    if not told.exists():
        return [core]
    ranges = [part.split("-") for part in told.read_text().strip().split(",")]
    return [number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)]


def _cpu_quota(root: Path) -> float | None:
    """Cores' worth of time that the tightest of this process's control groups grants; None where none limits it."""
    quotas = []
    membership = root / "proc/self/cgroup"
    for line in membership.read_text().splitlines() if membership.exists() else ():
        hierarchy, controllers, path = line.split(":", 2)
        files: tuple[str, ...]
        if hierarchy == "0":  # version 2: "200000 100000", or "max 100000"
            mount, files = root / "sys/fs/cgroup", ("cpu.max",)
        elif "cpu" in controllers.split(","):  # version 1; -1 is no limit
            mount, files = root / "sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        group = mount / path.lstrip("/")
        for level in (group, *group.parents):  # a limit binds all that is below it
            if not level.is_relative_to(mount) or not all((level / name).exists() for name in files):
                continue
            quota, period = " ".join((level / name).read_text().strip() for name in files).split()
            if quota.isdigit() and int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def named_gpus(text: str) -> list[Gpu]:
    """The devices that ``all``, or indices as nvidia-smi counts and UUIDs (or beginnings of them) with commas, name.

    They are of those that ``CUDA_VISIBLE_DEVICES`` leaves: what a scheduler has hidden is somebody else's.

    :raises NoSuchPlace: there is none of that name, it is hidden, or one is named twice.
    """
    hidden: list[Gpu] = []
    try:
        known = visible_gpus()
        hidden = [gpu for gpu in list_gpus() if gpu not in known]
    except NvmlUnavailable as error:
        raise NoSuchPlace(f"--gpus {text}: no GPU can be found here ({error}); leave out --gpus to run on the CPU") from None
    except NoSuchGpu as error:
        raise NoSuchPlace(f"--gpus {text}: {error}") from None
    if not known:
        raise NoSuchPlace(f"--gpus {text}: no GPU is to be seen here ({_why_none(hidden)}); leave out --gpus to run on the CPU")
    if text.strip() == "all":
        return known
    chosen: list[Gpu] = []
    for name in (part.strip() for part in text.split(",")):
        matches = _matches(name, known)
        if len(matches) != 1:
            behind = " that CUDA_VISIBLE_DEVICES shows" if not matches and _matches(name, hidden) else ""
            many = "more than one" if matches else "no"
            raise NoSuchPlace(f"--gpus {text}: '{name}' names {many} GPU{behind}; there are: {told(known)}")
        if matches[0] in chosen:
            raise NoSuchPlace(f"--gpus {text}: names {matches[0].uuid} twice, and a device runs one cell at a time")
        chosen += matches
    return chosen


def _matches(name: str, gpus: list[Gpu]) -> list[Gpu]:
    if name.isdigit():
        return [gpu for gpu in gpus if gpu.slot == int(name)]
    return [gpu for gpu in gpus if len(name) > 4 and gpu.uuid.startswith(name)]


def _why_none(hidden: list[Gpu]) -> str:
    return (
        f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']} hides {len(hidden)}" if hidden else "the driver lists none"
    )
