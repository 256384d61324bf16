"""A limit on a worker's memory: of CUDA as PyTorch takes it, by the device's number, and never more than the device has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vdmbench.runner.memory_limit import enforce

GIB = 2**30


@pytest.fixture
def shares(monkeypatch):
    """A CUDA of two devices at the boundary, below the checks of PyTorch's own functions: what share each was given."""
    given: dict[int, float] = {}
    monkeypatch.setattr(torch.cuda.memory, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * GIB))
    told = lambda share, index: given.update({index: share})  # noqa: E731
    monkeypatch.setattr(torch._C, "_cuda_setMemoryFraction", told, raising=False)
    return given


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_card_of_24_gib_is_played_by_one_of_80(shares, device, index):
    enforce(24 * GIB, device)
    assert shares == {index: pytest.approx(0.3)}


def test_a_larger_card_is_not_played(shares):
    with pytest.raises(ValueError, match=r"run.memory_limit is .* and the device has .*: it cannot play a larger card"):
        enforce(81 * GIB, "cuda")
    assert shares == {}
