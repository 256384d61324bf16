"""Simulated CUDA peaks: who holds them, and how they grow."""

from __future__ import annotations

import math

import pytest
import torch

from tests.memory.workloads import beside_workspaces, mixer, workload
from vdmbench.matching.cost import built_on_meta
from vdmbench.matching.held import held_memory
from vdmbench.matching.simulation import CannotSimulate, simulate, trace_workload
from vdmbench.memory.storages import StorageTracker
from vdmbench.user_code import allow, fingerprint

FRAMES = (64, 512)


@pytest.fixture(scope="module")
def trace():
    return trace_workload(workload(mixer("attention"), clip_norm=1.0))


@pytest.fixture(scope="module")
def parameters():
    described = workload(mixer("attention"))
    return list(built_on_meta(described.network, described.mixer).parameters())


def held(trace, owner):
    """Bytes of all storages that ever belonged to an owner."""
    return sum(event.nbytes for event in trace if event.nbytes > 0 and trace.owners[event.storage] == owner)


def test_what_the_weights_cost_is_counted_exactly(trace, parameters):
    nbytes = sum(parameter.numel() * 4 for parameter in parameters)
    buffers = held(trace, "parameters") - nbytes
    assert 0 <= buffers < 0.01 * nbytes
    assert held(trace, "gradients") == 2 * nbytes  # made anew in each of the two steps
    assert held(trace, "optimiser") == 2 * nbytes + 4 * len(parameters)  # two moments, and a count of steps
    assert held(trace, "EMA") == nbytes + buffers


def test_a_second_step_takes_what_the_first_took(trace):
    train, sample = trace.phases
    assert [train.name, sample.name] == ["train", "sample"]
    libraries = held(trace, "workspaces")
    assert trace.requested_peak(train) - libraries > 2 * (trace.requested_peak(sample) - libraries)
    # After the sampling nothing is left of what was trained but the average, which is what was sampled, and workspaces.
    alive = sum(event.nbytes for event in list(trace)[: sample.end])
    assert alive - libraries < 1.2 * held(trace, "EMA")


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("attention", {"precision": "bf16", "accumulate": 2, "clip_norm": 1.0}),
        ("mamba", {"checkpointing": True}),
        ("s4d", {"ema": None, "optimiser": "adam"}),
        ("attention", {"precision": "fp16"}),  # its loss scale lasts from the first step on, so that the second is run
    ],
)
def test_the_second_step_is_written_down_as_it_would_have_run(monkeypatch, name, train):
    written = trace_workload(workload(mixer(name), **train))
    monkeypatch.setattr(StorageTracker, "repeat", lambda *_, **__: False)
    run = trace_workload(workload(mixer(name), **train))
    assert written == run


def test_a_step_that_leaves_something_behind_is_not_repeated():
    """What a layer makes at its first step and keeps, a second step does not make again."""
    with StorageTracker("cpu") as tracker:
        kept = [torch.zeros(8)]
        assert not tracker.repeat(0, replaced=[], lasting=[])
        assert tracker.repeat(0, replaced=[], lasting=kept)
        assert tracker.repeat(0, replaced=kept, lasting=[])
        before = len(tracker.trace.events)
        kept.clear()
        assert not tracker.repeat(before, replaced=[], lasting=[])  # it dropped what was there before it
    assert sum(event.nbytes for event in tracker.trace) == 0


@pytest.fixture(scope="module")
def by_precision():
    """Peaks of both phases, with attention."""
    return {
        precision: simulate(workload(mixer("attention"), frames=8, size=16, precision=precision))
        for precision in ("fp32", "bf16", "fp16")
    }


def test_holders_sum_to_the_peak(by_precision):
    for peaks in by_precision.values():
        assert list(peaks) == ["train", "sample"]
        for peak in peaks.values():
            assert sum(peak.holders.values()) == peak.allocated_peak_bytes
            assert peak.allocated_peak_bytes <= peak.least_capacity_bytes <= peak.reserved_peak_bytes
        assert set(peaks["train"].holders) == {
            "parameters", "EMA", "optimiser", "gradients", "temporal activations", "other activations", "temporaries",
            "workspaces",
        }  # fmt: skip


def test_half_precision_shrinks_what_is_kept(by_precision):
    full, half = by_precision["fp32"]["train"], by_precision["bf16"]["train"]
    kept = {dtype: held_memory(mixer("attention"), 16, 8, dtype=dtype).held for dtype in (torch.float32, torch.bfloat16)}
    assert kept[torch.bfloat16] == pytest.approx(kept[torch.float32] / 2, rel=0.05)
    # Of 8 frames, for which flash attention's accumulator has 128 rows: little is won at the peak.
    assert beside_workspaces(half) < beside_workspaces(full)
    assert by_precision["fp16"]["train"].allocated_peak_bytes == pytest.approx(half.allocated_peak_bytes, rel=0.01)


@pytest.fixture(scope="module")
def growth():
    """Peaks in training by backend of attention, at each of FRAMES."""

    def peak(frames, **options):
        return simulate(workload(mixer("attention", **options), frames=frames, batch_size=1), ("train",))["train"]

    return {backend: [peak(frames, backend=backend) for frames in FRAMES] for backend in ("math", "sdpa")}


def exponent(values):
    """Of the power law through both of FRAMES."""
    return math.log(values[-1] / values[-2]) / math.log(FRAMES[-1] / FRAMES[-2])


def test_attention_grows_with_the_square_of_frames_unless_it_is_fused(growth):
    kept = {backend: [peak.holders["temporal activations"] for peak in peaks] for backend, peaks in growth.items()}
    assert exponent([unfused - fused for unfused, fused in zip(kept["math"], kept["sdpa"], strict=True)]) == pytest.approx(
        2, abs=0.08)  # fmt: skip
    assert exponent(kept["sdpa"]) == pytest.approx(1, abs=0.05)
    whole = {backend: [beside_workspaces(peak) for peak in peaks] for backend, peaks in growth.items()}
    assert exponent(whole["math"]) > 1.3
    assert exponent(whole["sdpa"]) == pytest.approx(1, abs=0.1)
    assert whole["math"][-1] > 3 * whole["sdpa"][-1]


def test_only_the_phases_asked_for_are_run():
    assert list(simulate(workload(mixer("identity")), ("sample",))) == ["sample"]


def test_a_mixer_without_a_fake_form_is_named(tmp_path):
    code = tmp_path / "reading.py"
    code.write_text(
        "import torch\n"
        "from vdmbench.mixers.mixer import Mixer\n"
        "class Reading(Mixer):\n"
        "    def __init__(self, channels):\n"
        "        super().__init__(channels, causal=False)\n"
        "    def forward(self, x):\n"
        "        return x * x.abs().max().item()\n"
    )
    name = f"{code}:Reading"
    allow([fingerprint(name)])
    with pytest.raises(CannotSimulate, match=r"the memory of .*reading.py:Reading cannot be simulated"):
        simulate(workload({"name": name, "sha256": fingerprint(name)}))
