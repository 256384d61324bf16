from __future__ import annotations

from dataclasses import astuple

import pytest
import torch

from vdmbench.measure import AllocatorPeaks

MIB = 2**20


def test_without_cuda_everything_is_none():
    peaks = AllocatorPeaks("cpu")
    peaks.reset()
    assert astuple(peaks.read()) == (None, None, None, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none_is_an_error():
    with pytest.raises(RuntimeError, match=r"device 'cuda:0' was asked for, but PyTorch .* sees no CUDA device"):
        AllocatorPeaks("cuda:0")


def test_counters_are_those_since_the_reset(monkeypatch: pytest.MonkeyPatch):
    # PyTorch's own counters, scripted at its boundary: they run from the start of the process.
    counters = {"num_alloc_retries": 3, "num_ooms": 1}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: dict(counters))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5 * MIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 20 * MIB)
    peaks = AllocatorPeaks("cuda")
    peaks.reset()
    counters.update(num_alloc_retries=5, num_ooms=2)
    assert astuple(peaks.read()) == (5 * MIB, 20 * MIB, 2, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_peak_that_is_gone_by_the_end_is_seen_and_does_not_carry_over():
    peaks = AllocatorPeaks("cuda")
    peaks.reset()
    baseline = peaks.read()
    held = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    del held
    busy = peaks.read()
    assert busy.allocated_peak_bytes - baseline.allocated_peak_bytes == 64 * MIB
    assert busy.reserved_peak_bytes >= busy.allocated_peak_bytes
    peaks.reset()
    assert peaks.read() == baseline


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_an_out_of_memory_error_is_counted():
    peaks = AllocatorPeaks("cuda")
    peaks.reset()
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    assert peaks.read().ooms == 1
