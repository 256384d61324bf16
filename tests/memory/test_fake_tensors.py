"""Answers that are repeated are those that PyTorch gives: the traces of whole steps are the same, event by event."""

from __future__ import annotations

import gc

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.memory.workloads import mixer, workload
from vdmbench.matching.simulation import trace_workload
from vdmbench.memory import fake_tensors
from vdmbench.memory.fake_tensors import FakeTensors

MIXERS = ("attention", "linear-attention", "s4d", "mamba", "hydra", "gated-delta-net")


def as_pytorch_answers(self, func, types, args=(), kwargs=None):
    return FakeTensorMode.__torch_dispatch__(self, func, types, args, kwargs or {})


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("settings", [{"precision": "bf16", "clip_norm": 1.0}, {"accumulate": 2, "checkpointing": True}])
def test_a_trace_is_the_one_of_pytorchs_own_mode(name, settings, monkeypatch):
    asked = workload(mixer(name), **settings)
    first, repeated = trace_workload(asked), trace_workload(asked)
    monkeypatch.setattr(FakeTensors, "__torch_dispatch__", as_pytorch_answers)
    plain = trace_workload(asked)
    for trace in (first, repeated):
        assert trace.events == plain.events
        assert trace.owners == plain.owners


def test_a_trace_does_not_depend_on_what_the_process_did_before():
    asked = workload(mixer("mamba"), accumulate=2, checkpointing=True)
    before = trace_workload(asked)
    gc.collect()
    litter = [[] for _ in range(337)]  # moves the count at which Python would collect
    assert trace_workload(asked).events == before.events
    del litter


def test_results_share_storage_as_they_do_in_truth():
    with FakeTensors():
        for _ in range(2):  # found, then repeated
            x = torch.empty(4, 6)
            view, copy, same = x.t(), x.t().contiguous(), x.add_(1)
            assert view.untyped_storage()._cdata == x.untyped_storage()._cdata
            assert copy.untyped_storage()._cdata != x.untyped_storage()._cdata
            assert same is x
            assert (view.stride(), copy.stride()) == ((1, 6), (4, 1))
            first, second = x.split([2, 4], 1)
            assert (first.storage_offset(), second.storage_offset()) == (0, 2)


def test_what_is_alike_in_shape_alone_has_an_answer_of_its_own():
    with FakeTensors():
        x = torch.empty(4, 6)
        assert [x.to(dtype).dtype for dtype in (torch.float16, torch.bfloat16)] == [torch.float16, torch.bfloat16]
        assert (x * 1).dtype is torch.float32
        whole = torch.empty(4, 6, dtype=torch.int64)
        assert [(whole * factor).dtype for factor in (1, 1.0)] == [torch.int64, torch.float32]
        assert x.t().clone().stride() != x.clone().view(6, 4).clone().stride()


def test_answers_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(fake_tensors, "_MOST", 10)
    with FakeTensors():
        for width in range(1, 40):
            torch.empty(width, 3) + 1
    assert len(fake_tensors._answers) <= 10
