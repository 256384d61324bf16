"""Every GPU of a cell is sampled, and what a record says of several is the largest."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from tests.measure.conftest import MIB, UUID, FakeNvml, NVMLError_GpuIsLost
from vdmbench.measure.nvml import Gpu
from vdmbench.runner.device_watch import DeviceWatch

OTHER = UUID.replace("1111", "9999")
GPUS = [Gpu(UUID, "NVIDIA H200", 1000 * MIB), Gpu(OTHER, "NVIDIA H200", 1000 * MIB)]


class TwoDevices(FakeNvml):
    """Memory of each by its handle, which is its UUID."""

    def __init__(self) -> None:
        super().__init__()
        self.used_of = {UUID: 100 * MIB, OTHER: 100 * MIB}
        self.lost: str | None = None
        self.looked = {UUID: 0, OTHER: 0}

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> SimpleNamespace:
        if handle == self.lost:
            raise NVMLError_GpuIsLost("GPU is lost")
        self.looked[handle] += 1
        return SimpleNamespace(total=1000 * MIB, used=self.used_of[handle])


@pytest.fixture
def nvml(monkeypatch):
    fake = TwoDevices()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def sampled(nvml, devices=(UUID, OTHER)):
    """Each of these has been looked at twice since now: the first look may have begun before."""
    until, deadline = {uuid: nvml.looked[uuid] + 2 for uuid in devices}, time.monotonic() + 20
    while any(nvml.looked[uuid] < count for uuid, count in until.items()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def phase(watch, name, nvml, devices=(UUID, OTHER), **used):
    watch.follow({"type": "phase_started", "phase": name})
    nvml.used_of.update(used)
    sampled(nvml, devices)
    watch.follow({"type": "phase_ended", "phase": name})


def test_the_largest_peak_of_each_phase_and_of_the_run_is_told(nvml):
    with DeviceWatch(GPUS) as watch:
        phase(watch, "train", nvml, **{UUID: 300 * MIB, OTHER: 500 * MIB})
        nvml.used_of = {UUID: 100 * MIB, OTHER: 100 * MIB}
        sampled(nvml)
        phase(watch, "sample", nvml, **{UUID: 200 * MIB})
        found = watch.stop()
    assert watch.phase_peaks == {"train": 500 * MIB, "sample": 200 * MIB}
    assert (found.device_uuid, found.peak_used_bytes) == (OTHER, 500 * MIB)
    assert [(each.device_uuid, each.peak_used_bytes) for each in found.devices] == [(UUID, 300 * MIB), (OTHER, 500 * MIB)]
    assert nvml.open_sessions == 0


def test_a_device_that_is_lost_leaves_the_other_to_tell(nvml):
    with DeviceWatch(GPUS) as watch:
        sampled(nvml)
        nvml.lost = OTHER
        time.sleep(0.05)
        phase(watch, "train", nvml, [UUID], **{UUID: 400 * MIB})
        found = watch.stop()
    assert found.peak_used_bytes == 400 * MIB
    assert [each.status for each in found.devices] == ["ok", "lost: NVMLError_GpuIsLost: GPU is lost"]


def test_one_device_is_told_alone_and_none_says_so(nvml):
    with DeviceWatch(GPUS[:1]) as watch:
        sampled(nvml, [UUID])
        assert watch.stop().devices is None
    with DeviceWatch([]) as watch:
        found = watch.stop()
    assert (found.status, found.peak_used_bytes) == ("unavailable: the run has no GPU", None)
