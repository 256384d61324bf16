"""A stand-in for NVIDIA's library, at the boundary where ours ends: scripted devices, processes and failures."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

UUID = "GPU-11111111-2222-3333-4444-555555555555"
MIB = 2**20


class NVMLError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


class NVMLError_NoPermission(NVMLError):
    pass


class NVMLError_NotFound(NVMLError):
    pass


class NVMLError_GpuIsLost(NVMLError):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class FakeNvml(ModuleType):
    """Module ``pynvml`` with one device; tests set ``used``, ``processes`` and ``failures`` (call name to exception)."""

    NVMLError = NVMLError
    nvmlMemory_v2 = 0x02000028
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.used = 100 * MIB
        self.processes: list[SimpleNamespace] = []
        self.failures: dict[str, Exception] = {}
        self.open_sessions = 0
        self.samples_begun = 0
        self.memory_versions: set[int | None] = set()

    def fail(self, call: str, error: Exception) -> None:
        self.failures[call] = error

    def runs(self, pid: int, held: int | None) -> None:
        self.processes = [*self.processes, SimpleNamespace(pid=pid, usedGpuMemory=held)]

    def _called(self, call: str) -> None:
        if call in self.failures:
            raise self.failures[call]

    def nvmlInit(self) -> None:
        self._called("nvmlInit")
        self.open_sessions += 1

    def nvmlShutdown(self) -> None:
        self.open_sessions -= 1
        self._called("nvmlShutdown")

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65.06"

    def nvmlDeviceGetCount(self) -> int:
        self._called("nvmlDeviceGetCount")
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return "handle"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != UUID:
            raise NVMLError_NotFound("Not Found")
        return "handle"

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return UUID

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        raise NVMLError_NotSupported("Not Supported")

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA H200"

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> SimpleNamespace:
        self.samples_begun += 1
        self._called("nvmlDeviceGetMemoryInfo")
        self.memory_versions.add(version)
        return SimpleNamespace(total=1000 * MIB, used=self.used)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        self._called("nvmlDeviceGetComputeRunningProcesses")
        return self.processes


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def errors() -> SimpleNamespace:
    return SimpleNamespace(
        LibraryNotFound=NVMLError_LibraryNotFound, NoPermission=NVMLError_NoPermission, GpuIsLost=NVMLError_GpuIsLost
    )
