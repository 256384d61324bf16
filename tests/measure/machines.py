"""Machines as NVML describes them: any number of devices of any kinds, divided or not, each with memory and processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from tests.measure.conftest import FakeNvml, NVMLError_GpuIsLost, NVMLError_NotFound, NVMLError_NotSupported

GIB = 2**30
H100 = "NVIDIA H100 80GB HBM3"


@dataclass
class Device:
    """A whole device, or a part of one; ``parts`` None cannot be divided, and an empty list is divided into nothing yet."""

    uuid: str
    name: str = H100
    total: int = 80 * GIB
    parts: list[Device | None] | None = None
    used: int = GIB
    processes: list[SimpleNamespace] = field(default_factory=list)
    lost: bool = False

    def runs(self, pid: int, held: int | None = GIB) -> None:
        self.processes = [*self.processes, SimpleNamespace(pid=pid, usedGpuMemory=held)]


def whole(count: int, name: str = H100, *, first: int = 0) -> list[Device]:
    """So many devices of one kind."""
    return [Device(f"GPU-{chr(ord('a') + number) * 8}-0000", name) for number in range(first, first + count)]


def divided(letter: str, *places: int | None) -> Device:
    """A device in parts; None is a place that is free."""
    parts = [
        None if number is None else Device(f"MIG-{letter * 7}{number}-0000", f"{H100} MIG 1g.10gb", 10 * GIB)
        for number in places
    ]
    return Device(f"GPU-{letter * 8}-0000", parts=parts)


class Machine(FakeNvml):
    """Module ``pynvml`` on such a machine; a handle is a :class:`Device`."""

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__()
        self.devices = list(devices)

    def nvmlDeviceGetCount(self):
        self._called("nvmlDeviceGetCount")
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.devices[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        for device in self.devices:
            for each in (device, *(device.parts or ())):
                if each is not None and each.uuid == uuid:
                    return each
        raise NVMLError_NotFound("Not Found")

    def nvmlDeviceGetMigMode(self, handle):
        if handle.parts is None:
            raise NVMLError_NotSupported("Not Supported")
        return [self.NVML_DEVICE_MIG_ENABLE, self.NVML_DEVICE_MIG_ENABLE]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return len(handle.parts)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):
        if handle.parts[index] is None:
            raise NVMLError_NotFound("Not Found")
        return handle.parts[index]

    def nvmlDeviceGetUUID(self, handle):
        return handle.uuid

    def nvmlDeviceGetName(self, handle):
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle, version=None):
        if handle.lost:
            raise NVMLError_GpuIsLost("GPU is lost")
        return SimpleNamespace(total=handle.total, used=handle.used)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return handle.processes
