"""A machine is divided into equal places, and no two cells share a device or a core."""

from __future__ import annotations

import os
import sys

import pytest

from tests.measure.conftest import FakeNvml
from vdmbench.runner.places import NoSuchPlace, Place, divide, equal_shares, usable_cores
from vdmbench.suite.blocks import Run

CPU = Run(device="cpu")
UUIDS = [f"GPU-{digit * 8}-aaaa" for digit in "0123"]


class FourGpus(FakeNvml):
    """As the fake of one device, with four."""

    def nvmlDeviceGetCount(self):
        return len(UUIDS)

    def nvmlDeviceGetHandleByIndex(self, index):
        return UUIDS[index]

    def nvmlDeviceGetUUID(self, handle):
        return handle


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", FourGpus())
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(9)))


def test_one_cell_at_a_time_is_pinned_to_nothing():
    (place,) = divide(CPU)
    assert place == Place()
    assert place.environment_variables() == {}
    assert place.as_environment() == {"cells_at_once": 1, "cores": None, "gpus": None}


def test_shares_are_equal_disjoint_and_leave_the_rest_idle():
    assert equal_shares(range(9), 2) == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert equal_shares([5, 3], 2) == [(5,), (3,)]
    with pytest.raises(NoSuchPlace, match=r"--jobs 3: this process may use 2 cores, and no two cells share one; .* --jobs 2"):
        equal_shares([0, 1], 3)


def test_cpu_cells_get_cores_and_as_many_threads(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    first, second = divide(CPU, jobs=2)
    assert not set(first.cores) & set(second.cores)
    assert (len(first.cores), first.cells_at_once, first.gpus) == (2, 2, ())
    assert first.environment_variables() == {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "250000 100000\n",
          "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 2),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "300000\n",
          "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n"}, 3),
        ({"proc/self/cgroup": "4:cpu:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
          "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({}, 4),
    ],
)  # fmt: skip
def test_a_container_may_use_the_cores_that_its_quota_pays_for(tmp_path, monkeypatch, files, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert len(usable_cores(tmp_path)) == count


def test_hardware_threads_of_a_core_stay_together(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    for core, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        told = tmp_path / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
        told.parent.mkdir(parents=True)
        told.write_text(siblings + "\n")
    assert equal_shares(usable_cores(tmp_path), 2) == [(0, 2), (1, 3)]


def test_one_cell_a_device_by_index_uuid_or_all(four_gpus):
    assert [place.gpus for place in divide(Run(), gpus="all")] == [(uuid,) for uuid in UUIDS]
    assert [place.gpus for place in divide(Run(), gpus=f"3,{UUIDS[0]}")] == [(UUIDS[3],), (UUIDS[0],)]
    assert [place.gpus for place in divide(Run(), gpus="all", jobs=2)] == [(UUIDS[0],), (UUIDS[1],)]
    assert [place.cores for place in divide(Run(), gpus="all")] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert divide(Run(), gpus="2") == [Place((UUIDS[2],))]
    assert [place.gpus for place in divide(Run(), gpus="all", devices=2)] == [tuple(UUIDS[:2]), tuple(UUIDS[2:])]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"jobs": 2}, "--jobs 2: cells would share a GPU, and memory and time are measured on it; name 2 with --gpus"),
        ({"gpus": "0", "jobs": 2}, "--jobs 2 on 1 GPU: .* a device runs one cell at a time; leave out --jobs, or name 2"),
        ({"gpus": "0,0"}, f"names {UUIDS[0]} twice, and a device runs one cell at a time"),
        ({"gpus": "0,7"}, f"--gpus 0,7: '7' names no GPU; there are: 0 .{UUIDS[0]}., 1"),
        ({"gpus": "GPU-"}, "'GPU-' names no GPU"),
        ({"gpus": "0,1,2", "devices": 4}, "a cell takes 4 .train.devices., and that names 3"),
    ],
)  # fmt: skip
def test_what_would_be_shared_or_is_not_there_is_refused(four_gpus, asked, message):
    with pytest.raises(NoSuchPlace, match=message):
        divide(Run(), **asked)


def test_gpus_are_refused_where_there_are_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NoSuchPlace, match=r"no GPU can be found here .* leave out --gpus to run on the CPU"):
        divide(Run(), gpus="all")
    with pytest.raises(NoSuchPlace, match=r"the suite says run.device: cpu; leave out --gpus"):
        divide(CPU, gpus="all")
