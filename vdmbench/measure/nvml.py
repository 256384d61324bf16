"""Device memory through NVML, sampled by the supervising parent, so that the peak survives the worker's death.

What it sees is the driver's account: the worker's caching allocator, its CUDA context and libraries, and everybody else on
the device. Contract:

1. A device is named by UUID, never by index: NVML and CUDA order devices differently.
2. Nothing is raised into the run. Where there is no driver, no device or no permission, and where the device is lost
   mid-run, the reading's ``status`` says so and holds what had been measured until then.
3. Unknown is None, never 0.

Known trade-offs: polling misses spikes shorter than its interval (the allocator's own peak stands beside it). Inside a
container NVML reports the host's pids, so the worker cannot be told from others there: its peak is None, and only processes
that were on the device before the run began count as foreign. Only compute processes are looked at, not a desktop's.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_log = logging.getLogger(__name__)


class NvmlUnavailable(RuntimeError):
    """NVML cannot be used here; the message says why."""


@dataclass(frozen=True)
class Gpu:
    """A device as NVML names it; ``uuid`` is what ``CUDA_VISIBLE_DEVICES`` takes too."""

    uuid: str
    name: str
    total_bytes: int
    slot: int = 0
    """Its number as NVML and nvidia-smi count; a part of a device (MIG) has its device's."""

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a device (MIG), of which a process can use but one."""
        return self.uuid.startswith("MIG-")

    @property
    def card(self) -> str:
        """The device's kind: its name, without that of a part."""
        return self.name.partition(" MIG ")[0]


@dataclass(frozen=True)
class NvmlReading:
    """Device memory over a stretch of time; the fields are those of a record's ``device_memory``."""

    status: str
    """``ok``; or ``unavailable: ...``, ``lost: ...``, ``not started``."""
    device_uuid: str | None
    interval_seconds: float
    """Nominal; ``samples`` tells how many were made."""
    samples: int
    peak_used_bytes: int | None
    """Of the whole device, by memory info v2 (v1 counts driver-reserved memory as used)."""
    peak_process_bytes: int | None
    """Sum over the watched processes and their process groups; None where the driver or a container hides it."""
    foreign_processes: int | None
    """Distinct compute processes seen on the device that are not watched; None where they cannot be listed."""


@contextmanager
def _session() -> Iterator[ModuleType]:
    """The initialised NVML module; raises :class:`NvmlUnavailable`."""
    nvml = _open()
    try:
        yield nvml
    finally:
        _close(nvml)


def _open() -> ModuleType:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise NvmlUnavailable("the package nvidia-ml-py is missing (pip install nvidia-ml-py)") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NvmlUnavailable(_describe(error)) from error
    return nvml


def _close(nvml: ModuleType) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        _log.debug("NVML did not shut down, which changes no measurement: %s", _describe(error))


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def list_gpus() -> list[Gpu]:
    """All devices of the machine, in NVML's order; raises :class:`NvmlUnavailable` where there is no driver.

    In the place of a device that is divided (MIG) stand its parts, for CUDA computes on nothing else of it.
    """
    with _session() as nvml:
        try:
            return [
                Gpu(nvml.nvmlDeviceGetUUID(part), nvml.nvmlDeviceGetName(part), nvml.nvmlDeviceGetMemoryInfo(part).total, slot)
                for slot in range(nvml.nvmlDeviceGetCount())
                for part in _parts(nvml, nvml.nvmlDeviceGetHandleByIndex(slot))
            ]
        except nvml.NVMLError as error:
            raise NvmlUnavailable(_describe(error)) from error


def _parts(nvml: ModuleType, handle: Any) -> list[Any]:
    """Handles of the parts of a device that is divided, perhaps none; of any other the device's own."""
    try:
        divided = nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    except nvml.NVMLError:  # most devices cannot be divided, and say so by an error
        return [handle]
    if not divided:
        return [handle]
    found = []
    for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place))
        except nvml.NVMLError as error:  # a place that is free
            _log.debug("no part of the device at %d: %s", place, _describe(error))
    return found


def driver_version() -> str | None:
    """Version of the NVIDIA driver; None where there is none."""
    try:
        with _session() as nvml:
            return str(nvml.nvmlSystemGetDriverVersion())
    except NvmlUnavailable:
        return None


_STATE = {
    "sm_clock_mhz": lambda nvml, device: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM),
    "sm_clock_limit_mhz": lambda nvml, device: nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_SM),
    "memory_clock_mhz": lambda nvml, device: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM),
    "power_limit_milliwatts": lambda nvml, device: nvml.nvmlDeviceGetEnforcedPowerLimit(device),
    "temperature_celsius": lambda nvml, device: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
    "ecc": lambda nvml, device: bool(nvml.nvmlDeviceGetEccMode(device)[0]),
}


def device_state(uuid: str) -> dict[str, int | bool | None]:
    """Clocks, power limit, temperature and ECC of a device as they are now; None for what the driver does not tell."""
    state: dict[str, int | bool | None] = dict.fromkeys(_STATE)
    try:
        with _session() as nvml:
            device = nvml.nvmlDeviceGetHandleByUUID(uuid)
            for name, ask in _STATE.items():
                try:
                    state[name] = ask(nvml, device)
                except nvml.NVMLError as error:
                    _log.debug("%s of %s is unknown: %s", name, uuid, _describe(error))
    except Exception as error:  # no driver, no such device: a state that is not known is no reason not to run
        _log.debug("the state of %s is unknown: %s", uuid, _describe(error))
    return state


class _Peaks:
    """Running maxima over a stretch of samples."""

    def __init__(self) -> None:
        self.samples = 0
        self.used: int | None = None
        self.process: int | None = None
        self.process_hidden = False

    def add(self, used: int, process: int | None, *, hidden: bool) -> None:
        self.samples += 1
        self.used = used if self.used is None else max(self.used, used)
        self.process_hidden |= hidden
        if process is not None:
            self.process = process if self.process is None else max(self.process, process)


class NvmlSampler:
    """Polls one device from a thread of its own.

    ``start`` takes the first sample before it returns, so start it before the worker: whatever is on the device then is
    foreign. ``watch`` names the worker once it has a pid; its process group counts with it. ``lap`` ends a phase: it
    returns the peaks since the last lap. ``stop`` returns those of the whole run. Used as a context manager, ``stop`` may be
    called inside or left to the exit.

    ``device_uuid`` is ``GPU-...`` or ``MIG-...``; None stands for a run without a GPU. ``interval`` is in seconds.
    """

    def __init__(self, device_uuid: str | None, *, interval: float = 0.01, patience: float = 5.0) -> None:
        if device_uuid is not None and not device_uuid.startswith(("GPU-", "MIG-")):
            raise ValueError(f"device_uuid must be a UUID such as GPU-5fd4..., got '{device_uuid}'; list_gpus() gives them")
        if interval <= 0:
            raise ValueError(f"interval must be positive seconds, got {interval}")
        self._uuid, self._interval, self._patience = device_uuid, interval, patience
        self._nvml: Any = None
        self._handle: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._status = "not started"
        self._run, self._lap = _Peaks(), _Peaks()
        self._watched: set[int] = set()
        self._own: set[int] = set()
        self._others: set[int] = set()
        self._others_first: set[int] | None = None

    def __enter__(self) -> NvmlSampler:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the device, take the first sample and begin to poll."""
        if self._status != "not started":
            raise RuntimeError("an NvmlSampler measures one run; make another for the next")
        self._status = self._open_device()
        if self._status == "ok":
            self._thread = threading.Thread(target=self._poll, name="vdmbench-nvml", daemon=True)
            self._thread.start()

    def watch(self, pid: int) -> None:
        """Count this process, and whatever shares its process group, as the run's own."""
        with self._lock:
            self._watched.add(pid)

    def lap(self) -> NvmlReading:
        """The reading since the last lap, or since the start."""
        with self._lock:
            peaks, self._lap = self._lap, _Peaks()
            return self._reading(peaks)

    def stop(self) -> NvmlReading:
        """End polling and return the reading of the whole run; calling it again returns the same."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(self._patience)
            if self._thread.is_alive():
                self._status = f"lost: NVML gave no answer for {self._patience:g} s"
            else:
                _close(self._nvml)
            self._thread = None
        with self._lock:
            return self._reading(self._run)

    def _open_device(self) -> str:
        if self._uuid is None:
            return "unavailable: the run has no GPU"
        try:
            self._nvml = _open()
        except NvmlUnavailable as error:
            return f"unavailable: {error}"
        try:
            self._handle = self._nvml.nvmlDeviceGetHandleByUUID(self._uuid)
            self._sample()
        # Whatever fails in the driver's library must reach the record as a status, and nothing else.
        except Exception as error:
            _close(self._nvml)
            return f"unavailable: {_describe(error)}"
        return "ok"

    def _poll(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                self._sample()
            except Exception as error:  # as in _open_device
                with self._lock:
                    self._status = f"lost: {_describe(error)}"
                return

    def _sample(self) -> None:
        used = int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle, version=self._nvml.nvmlMemory_v2).used)
        try:
            processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError as error:
            _log.debug("the processes of %s cannot be listed: %s", self._uuid, _describe(error))
            processes = None
        with self._lock:
            if processes is None:
                self._count(used, None, hidden=True)
                return
            own = [process for process in processes if self._is_own(process.pid)]
            self._own |= {process.pid for process in own}
            self._others |= {process.pid for process in processes} - self._own
            if self._others_first is None:
                self._others_first = set(self._others)
            held = [process.usedGpuMemory for process in own]
            hidden = None in held
            self._count(used, sum(held) if held and not hidden else None, hidden=hidden)

    def _count(self, used: int, process: int | None, *, hidden: bool) -> None:
        for peaks in (self._run, self._lap):
            peaks.add(used, process, hidden=hidden)

    def _is_own(self, pid: int) -> bool:
        if pid in self._watched:
            return True
        try:
            return os.getpgid(pid) in self._watched
        except OSError:  # ended meanwhile, or a pid of another namespace: not ours as far as can be told
            return False

    def _reading(self, peaks: _Peaks) -> NvmlReading:
        return NvmlReading(
            status=self._status,
            device_uuid=self._uuid,
            interval_seconds=self._interval,
            samples=peaks.samples,
            peak_used_bytes=peaks.used,
            peak_process_bytes=None if peaks.process_hidden else peaks.process,
            foreign_processes=self._foreign(),
        )

    def _foreign(self) -> int | None:
        if self._others_first is None:
            return None
        # Where the run's own pids never came up, NVML may speak of the host's: then later arrivals may be the run itself.
        seen = self._others if self._own else self._others_first
        return len(seen - self._own)
