"""Which GPU a worker gets: by UUID, as CUDA_VISIBLE_DEVICES leaves it, and never one that others compute on."""

from __future__ import annotations

import sys

import pytest

from tests.measure.conftest import UUID, FakeNvml, NVMLError_LibraryNotFound
from vdmbench.runner.devices import choose_gpu, refuse_shared_gpu, worker_environment
from vdmbench.suite.blocks import Run


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_the_worker_is_pinned_by_uuid(nvml):
    gpu = choose_gpu(Run())
    assert gpu is not None
    assert worker_environment(gpu)["CUDA_VISIBLE_DEVICES"] == gpu.uuid == UUID
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(None)


@pytest.mark.parametrize("visible", ["0", UUID, "GPU-1111"])
def test_the_first_visible_device_is_taken(nvml, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert choose_gpu(Run()).uuid == UUID


def test_no_device_where_none_is_wanted_or_there(nvml, monkeypatch):
    assert choose_gpu(Run(device="cpu")) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(ValueError, match=r"CUDA_VISIBLE_DEVICES=7: no such GPU; there are: 0 \(GPU-1111"):
        choose_gpu(Run())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose_gpu(Run()) is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    nvml.fail("nvmlInit", NVMLError_LibraryNotFound("Not Found"))
    assert choose_gpu(Run()) is None


def test_a_device_that_others_compute_on_is_refused(nvml):
    refuse_shared_gpu(choose_gpu(Run()))
    nvml.runs(pid=4242, held=10 * 2**30)
    with pytest.raises(
        ValueError, match="in use by 1 other process, and peaks and times would be wrong; wait, or choose another"
    ):
        refuse_shared_gpu(choose_gpu(Run()))
