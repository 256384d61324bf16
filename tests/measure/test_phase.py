from __future__ import annotations

import sys
import time

import pytest

from vdmbench.measure import PhaseMeter
from vdmbench.records.schema import PhaseReading

MIB = 2**20


def test_a_phase_has_its_own_time_and_peak():
    meter = PhaseMeter()
    with meter.phase("warm-up") as warm_up:
        held = bytearray(b"x") * (96 * MIB)
        time.sleep(0.02)
        del held
    with meter.phase("train") as train:
        pass
    assert warm_up["seconds"] >= 0.02
    assert train["seconds"] < warm_up["seconds"]
    assert warm_up["rss_peak_bytes"] - train["rss_peak_bytes"] > 80 * MIB
    assert train["rss_source"] == ("VmHWM" if sys.platform.startswith("linux") else train["rss_source"])


def test_what_interrupts_a_phase_is_no_part_of_it():
    meter = PhaseMeter()
    began = time.perf_counter()
    with meter.phase("train") as train:
        first = bytearray(b"x") * (64 * MIB)
        del first
        with meter.interrupted():
            held = bytearray(b"x") * (256 * MIB)
            time.sleep(0.2)
            del held
        time.sleep(0.01)
    passed = time.perf_counter() - began
    with meter.phase("bare") as bare:
        pass
    assert 0.01 <= train["seconds"] <= passed - 0.2
    assert 50 * MIB < train["rss_peak_bytes"] - bare["rss_peak_bytes"] < 128 * MIB
    with meter.interrupted():
        pass  # outside a phase nothing is measured
    assert meter.phase("next").__enter__() == {}


def test_a_phase_that_fails_while_it_is_interrupted_is_read_and_the_next_can_begin():
    meter = PhaseMeter()
    with pytest.raises(MemoryError), meter.phase("train") as failed, meter.interrupted():
        raise MemoryError
    assert failed["seconds"] >= 0
    with meter.phase("sample"):
        pass


def test_on_a_cpu_the_device_fields_are_none():
    with PhaseMeter("cpu").phase("build") as reading:
        assert reading == {}
    unknown = ("allocated_peak_bytes", "reserved_peak_bytes", "alloc_retries", "ooms")
    assert [reading[field] for field in unknown] == [None] * 4


def test_a_phase_that_fails_is_read_all_the_same_and_the_next_can_begin():
    meter = PhaseMeter()
    with pytest.raises(MemoryError), meter.phase("train") as failed:
        raise MemoryError
    assert failed["seconds"] >= 0
    assert failed["rss_peak_bytes"] > 0
    with meter.phase("sample"):
        pass


def test_phases_do_not_nest():
    meter = PhaseMeter()
    with meter.phase("train"), pytest.raises(RuntimeError, match="'sample' begins inside phase 'train'"), meter.phase("sample"):
        pass


def test_a_reading_is_what_a_record_holds():
    with PhaseMeter().phase("build") as reading:
        pass
    assert PhaseReading(**reading).rss_peak_bytes == reading["rss_peak_bytes"]


@pytest.mark.gpu
def test_device_memory_of_one_phase_does_not_reach_the_next():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    meter = PhaseMeter("cuda")
    with meter.phase("warm-up") as warm_up:
        torch.empty(256 * MIB, dtype=torch.uint8, device="cuda")
    with meter.phase("train") as train:
        torch.empty(16 * MIB, dtype=torch.uint8, device="cuda")
    assert warm_up["allocated_peak_bytes"] - train["allocated_peak_bytes"] == 240 * MIB
    assert warm_up["reserved_peak_bytes"] - train["reserved_peak_bytes"] >= 200 * MIB
