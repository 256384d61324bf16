"""Where and with what a run took place: audit data for its record, never part of a cell's identity.

Everything is JSON; None where a thing does not exist or could not be known. Environment variables are taken from a fixed
list, since a whole environment holds secrets.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from vdmbench.measure.nvml import device_state, driver_version

# What changes numbers, memory or speed without being said anywhere else.
_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
)


def capture(directory: Path | None = None) -> dict[str, Any]:
    """The environment of this process; imports torch.

    ``directory`` (the working directory if None) is where code is looked for under git. Keys: ``python``, ``platform``,
    ``packages`` {name: version}, ``torch``, ``cpu``, ``memory`` (bytes), ``gpus`` (visible ones, in CUDA's order),
    ``nvidia_driver``, ``threads``, ``determinism``, ``variables``, ``git``. Neither host nor user is named.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "torch": _torch_build(),
        "cpu": {
            "model": cpu_model(),
            "cores_visible": cores_visible(),
            "cores": os.cpu_count(),
            "container_limit_cores": container_cpu_limit(),
        },
        "memory": {"total_bytes": psutil.virtual_memory().total, "container_limit_bytes": container_memory_limit()},
        "gpus": _gpus(),
        "nvidia_driver": driver_version(),
        "threads": _threads(),
        "determinism": _determinism(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "git": git_state(Path.cwd() if directory is None else directory),
    }


def packages() -> dict[str, str]:
    """Every installed distribution and its version, by name."""
    return dict(sorted((found.name, found.version) for found in importlib.metadata.distributions()))


def cpu_model() -> str | None:
    """The processor's name as the system gives it."""
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        brand = _output(["sysctl", "-n", "machdep.cpu.brand_string"])
        return brand.decode().strip() if brand else None
    return platform.processor() or None


def cores_visible() -> int | None:
    """Cores that this process may run on, which in a container or batch job are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _container_files(root: Path, controller: str, name: str, name_before: str) -> list[str]:
    """What the control groups of this process say in a file, innermost first; ``name_before`` is the file's in version 1.

    A limit binds the whole subtree below it, so each ancestor is looked at. ``root`` is where /proc and /sys are found.
    """
    found = []
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":  # version 2
            mount, file = root / "sys/fs/cgroup", name
        elif controller in controllers.split(","):  # version 1
            mount, file = root / "sys/fs/cgroup" / controller, name_before
        else:
            continue
        group = mount / path.lstrip("/")
        found += [_read(level / file) for level in (group, *group.parents) if level.is_relative_to(mount)]
    return [text for text in found if text is not None]


def container_memory_limit(root: Path = Path("/")) -> int | None:
    """The tightest memory limit of this process's control groups, in bytes; None where there is none."""
    limits = _container_files(root, "memory", "memory.max", "memory.limit_in_bytes")
    # "max" (version 2) and values near 2^63 (version 1) mean that there is none.
    numbers = [int(limit) for limit in limits if limit.isdigit()]
    return min((number for number in numbers if number < 2**62), default=None)


def container_oom_kills(root: Path = Path("/")) -> int:
    """Processes of this one's control group that the kernel has killed so far because memory ran out, whosever limit it was; 0
    where that is not told."""
    for text in _container_files(root, "memory", "memory.events", "memory.oom_control"):
        for fields in map(str.split, text.splitlines()):
            if len(fields) == 2 and fields[0] == "oom_kill" and fields[1].isdigit():
                return int(fields[1])  # of the innermost group, which counts its own processes
    return 0


def container_cpu_limit(root: Path = Path("/")) -> float | None:
    """The tightest CPU quota of this process's control groups, in cores; None where there is none."""
    quotas = [text.split() for text in _container_files(root, "cpu", "cpu.max", "cpu.cfs_quota_us")]
    # Version 2 gives quota and period together, in microseconds; version 1 gives the quota, and the period is 0.1 s unless set.
    cores = [int(quota) / int(*(period or ["100000"])) for quota, *period in quotas if quota.isdigit()]
    return min(cores, default=None)


def git_state(directory: Path) -> dict[str, Any] | None:
    """Commit of the repository that holds ``directory``, and what differs from it; None outside a repository.

    ``patch_sha256`` is of ``git diff HEAD --binary``, so of tracked files alone; None where nothing differs.
    """
    commit = _output(["git", "rev-parse", "HEAD"], directory)
    if commit is None:
        return None
    status = _output(["git", "status", "--porcelain"], directory)
    patch = _output(["git", "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv"], directory)
    return {
        "commit": commit.decode().strip(),
        "dirty": None if status is None else bool(status),
        "untracked": None if status is None else sum(line.startswith(b"??") for line in status.splitlines()),
        "patch_sha256": hashlib.sha256(patch).hexdigest() if patch else None,
    }


def _torch_build() -> dict[str, Any]:
    import torch

    return {
        "version": torch.__version__,
        "git": torch.version.git_version,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
    }


def _gpus() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return []
    return [
        {
            "name": device.name,
            "uuid": _uuid(device),
            "total_bytes": device.total_memory,
            "capability": f"{device.major}.{device.minor}",
            "state": device_state(_uuid(device)),
        }
        for device in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    ]


def _uuid(device: Any) -> str:
    """As NVML writes it; of a part of a device (MIG) CUDA gives the part's."""
    return f"{'MIG' if ' MIG ' in device.name else 'GPU'}-{device.uuid}"


def _threads() -> dict[str, int]:
    import torch

    return {"torch": torch.get_num_threads(), "torch_interop": torch.get_num_interop_threads()}


def _determinism() -> dict[str, Any]:
    import torch

    cudnn: Any = torch.backends.cudnn  # the module puts an object in its own place, which checkers of types do not see
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "float32_on_cuda": {
            "matrix_products": _float32_precision(torch.backends.cuda.matmul.fp32_precision),
            "convolutions": _float32_precision(cudnn.conv.fp32_precision),
            "recurrent_layers": _float32_precision(cudnn.rnn.fp32_precision),
        },
    }


def _float32_precision(declared: str) -> str:
    """How float32 is multiplied: ``ieee``, in full, which is also PyTorch's meaning of "none"; ``tf32``, by 10 bits."""
    return "ieee" if declared == "none" else declared


def _read(path: Path) -> str | None:
    """Stripped text of a file of the system; None where it is not there or not for us."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _output(command: list[str], directory: Path | None = None) -> bytes | None:
    """Standard output; None where the command is missing, fails, or takes over five seconds."""
    # A run must not wait for, or take, the index lock of a repository that somebody works in.
    variables = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(command, cwd=directory, env=variables, capture_output=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
