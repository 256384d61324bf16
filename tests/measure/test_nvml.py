from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from vdmbench.measure import NvmlSampler, NvmlUnavailable, list_gpus
from vdmbench.measure.nvml import device_state, driver_version
from vdmbench.records.schema import DeviceMemory

UUID = "GPU-11111111-2222-3333-4444-555555555555"
MIB = 2**20
FOREIGN_PID = 2**22 + 1  # above the largest pid of Linux, so it belongs to no process here


def sampler(**options) -> NvmlSampler:
    return NvmlSampler(UUID, interval=0.001, **options)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "the sampler did not get there in 5 s"
        time.sleep(0.001)


def wait_for_samples(nvml) -> None:
    """Until a sample that began after this call is complete."""
    before = nvml.samples_begun
    wait_for(lambda: nvml.samples_begun >= before + 2)


def test_importing_needs_neither_torch_nor_the_driver():
    code = "import sys, vdmbench.measure.nvml; sys.exit('torch' in sys.modules or 'pynvml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_the_peak_outlives_the_spike(nvml):
    with sampler() as running:
        nvml.used = 700 * MIB
        wait_for_samples(nvml)
        nvml.used = 200 * MIB
        wait_for_samples(nvml)
        reading = running.stop()
    assert reading.status == "ok"
    assert reading.peak_used_bytes == 700 * MIB
    assert reading.samples >= 4
    assert reading.interval_seconds == 0.001
    assert nvml.memory_versions == {nvml.nvmlMemory_v2}
    assert nvml.open_sessions == 0


def test_laps_are_peaks_of_their_own_stretch(nvml):
    with sampler() as running:
        nvml.used = 700 * MIB
        wait_for_samples(nvml)
        assert running.lap().peak_used_bytes == 700 * MIB
        nvml.used = 300 * MIB
        wait_for_samples(nvml)
        running.lap()
        wait_for_samples(nvml)
        assert running.lap().peak_used_bytes == 300 * MIB
    assert running.stop().peak_used_bytes == 700 * MIB


def test_watched_process_and_its_group_are_told_from_the_rest(nvml):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as leader:
        nvml.runs(FOREIGN_PID, 50 * MIB)
        with sampler() as running:
            running.watch(leader.pid)
            nvml.runs(leader.pid, 400 * MIB)
            wait_for_samples(nvml)
            reading = running.stop()
        leader.communicate(b"\n")
    assert reading.peak_process_bytes == 400 * MIB
    assert reading.foreign_processes == 1


def test_a_process_of_the_watched_group_counts_as_own(nvml):
    # This test's own process stands for a child: its group leader is what is watched.
    nvml.runs(os.getpid(), 30 * MIB)
    running = sampler()
    running.watch(os.getpgid(0))
    running.start()
    reading = running.stop()
    assert reading.peak_process_bytes == 30 * MIB
    assert reading.foreign_processes == 0


def test_memory_that_the_driver_hides_is_none_and_never_zero(nvml):
    nvml.runs(os.getpid(), None)
    running = sampler()
    running.watch(os.getpid())
    running.start()
    reading = running.stop()
    assert reading.status == "ok"
    assert reading.peak_process_bytes is None
    assert reading.peak_used_bytes == 100 * MIB


def test_host_pids_inside_a_container_are_not_called_foreign(nvml):
    with sampler() as running:
        running.watch(os.getpid())
        nvml.runs(FOREIGN_PID, 400 * MIB)  # the run itself, under the host's number
        wait_for_samples(nvml)
        reading = running.stop()
    assert reading.peak_process_bytes is None
    assert reading.foreign_processes == 0


def test_processes_that_may_not_be_listed_leave_the_device_measured(nvml, errors):
    nvml.fail("nvmlDeviceGetComputeRunningProcesses", errors.NoPermission("Insufficient Permissions"))
    with sampler() as running:
        reading = running.stop()
    assert reading.status == "ok"
    assert reading.peak_used_bytes == 100 * MIB
    assert reading.peak_process_bytes is None
    assert reading.foreign_processes is None


def test_a_device_lost_mid_run_keeps_what_was_measured(nvml, errors):
    with sampler() as running:
        nvml.used = 600 * MIB
        wait_for_samples(nvml)
        nvml.fail("nvmlDeviceGetMemoryInfo", errors.GpuIsLost("GPU is lost"))
        wait_for(lambda: running.lap().status != "ok")
    reading = running.stop()
    assert reading.status == "lost: NVMLError_GpuIsLost: GPU is lost"
    assert reading.peak_used_bytes == 600 * MIB
    assert reading.samples >= 2


def test_a_driver_that_hangs_does_not_hang_the_run(nvml):
    release = threading.Event()
    answer = nvml.nvmlDeviceGetMemoryInfo
    running = sampler(patience=0.05)
    running.start()
    nvml.nvmlDeviceGetMemoryInfo = lambda *args, **options: (release.wait(5), answer(*args, **options))[1]
    time.sleep(0.02)
    reading = running.stop()
    release.set()
    assert reading.status == "lost: NVML gave no answer for 0.05 s"
    assert reading.peak_used_bytes == 100 * MIB


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetMemoryInfo"])
def test_denied(nvml, errors, call: str):
    nvml.fail(call, errors.NoPermission("Insufficient Permissions"))
    with sampler() as running:
        running.watch(1)
    reading = running.stop()
    assert reading.status == "unavailable: NVMLError_NoPermission: Insufficient Permissions"
    assert (reading.samples, reading.peak_used_bytes, reading.foreign_processes) == (0, None, None)
    assert nvml.open_sessions == 0


def test_no_driver(nvml, errors):
    nvml.fail("nvmlInit", errors.LibraryNotFound("NVML Shared Library Not Found"))
    with sampler() as running:
        pass
    assert running.stop().status == "unavailable: NVMLError_LibraryNotFound: NVML Shared Library Not Found"
    with pytest.raises(NvmlUnavailable, match="NVML Shared Library Not Found"):
        list_gpus()
    assert driver_version() is None


def test_no_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with sampler() as running:
        pass
    assert running.stop().status == "unavailable: the package nvidia-ml-py is missing (pip install nvidia-ml-py)"


def test_a_device_that_is_not_there(nvml):
    with NvmlSampler("GPU-99999999", interval=0.001) as running:
        pass
    assert running.stop().status == "unavailable: NVMLError_NotFound: Not Found"
    assert nvml.open_sessions == 0


def test_a_run_without_a_gpu_says_so():
    with NvmlSampler(None) as running:
        pass
    assert running.stop().status == "unavailable: the run has no GPU"


def test_a_shutdown_that_fails_changes_no_number(nvml, errors):
    nvml.fail("nvmlShutdown", errors.NoPermission("no"))
    with sampler() as running:
        pass
    assert running.stop().status == "ok"


@pytest.mark.parametrize("index", ["0", "cuda:0", ""])
def test_an_index_is_refused(index: str):
    with pytest.raises(ValueError, match="must be a UUID such as"):
        NvmlSampler(index)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="positive seconds, got 0"):
        NvmlSampler(UUID, interval=0.0)


def test_a_sampler_measures_one_run(nvml):
    with sampler() as running, pytest.raises(RuntimeError, match="measures one run"):
        running.start()


def test_before_the_start_nothing_is_claimed():
    reading = sampler().lap()
    assert (reading.status, reading.samples, reading.peak_used_bytes) == ("not started", 0, None)


def test_devices_and_driver_are_listed(nvml):
    [gpu] = list_gpus()
    assert (gpu.uuid, gpu.name, gpu.total_bytes) == (UUID, "NVIDIA H200", 1000 * MIB)
    assert driver_version() == "580.65.06"
    assert nvml.open_sessions == 0


def test_a_list_that_fails_says_why(nvml, errors):
    nvml.fail("nvmlDeviceGetCount", errors.NoPermission("Insufficient Permissions"))
    with pytest.raises(NvmlUnavailable, match="NVMLError_NoPermission: Insufficient Permissions"):
        list_gpus()
    assert nvml.open_sessions == 0


def test_a_reading_is_what_a_record_holds(nvml):
    with sampler() as running:
        pass
    reading = running.stop()
    assert DeviceMemory(**asdict(reading)).peak_used_bytes == reading.peak_used_bytes


@pytest.mark.gpu
def test_a_real_device_is_measured():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    with NvmlSampler(uuid) as running:
        running.watch(os.getpid())
        before = running.lap().peak_used_bytes
        held = torch.empty(512 * MIB, dtype=torch.uint8, device="cuda")
        time.sleep(0.1)
        after = running.lap().peak_used_bytes
    assert before is not None
    assert after is not None
    assert after - before >= held.nbytes


def test_a_state_that_the_driver_does_not_tell_is_none(nvml):
    state = device_state(UUID)
    assert set(state) >= {"sm_clock_mhz", "power_limit_milliwatts"}
    assert set(state.values()) == {None}
    assert nvml.open_sessions == 0
    assert set(device_state("GPU-of-another-machine").values()) == {None}
