"""The simulation against real runs on the CPU: storage by storage, and against the CPU allocator's own count."""

from __future__ import annotations

import json

import pytest
import torch

from tests.memory.workloads import mixer, workload
from vdmbench import registry
from vdmbench.matching.simulation import run_steps, trace_workload
from vdmbench.measure.live_tensors import LiveTensors
from vdmbench.memory.storages import StorageTracker

CPU = torch.device("cpu")


def both_ways(name: str) -> dict[str, object]:
    """A mixer in both directions where it has them, as that runs the code of each."""
    directed = "direction" in registry.mixers[name].load_options().model_fields
    return mixer(name, **({"direction": "both"} if directed else {}))


ALIKE = {entry.name: both_ways(entry.name) for entry in registry.mixers}
ALIKE["one direction"] = {
    "stem": mixer("mamba"),
    "levels": [mixer("s4d", direction="backward")],
    "middle": mixer("gated-delta-net", direction="backward"),
}
ALIKE["a pattern"] = {"stem": mixer("mamba2"), "levels": [mixer("lstm")], "middle": mixer("attention", backend="math")}


@pytest.mark.parametrize("temporal", ALIKE.values(), ids=ALIKE)
def test_the_storages_of_a_real_run_are_simulated_one_by_one(temporal):
    described = workload(temporal)
    # oneDNN's LSTM keeps a workspace whose size it tells no one; without it the LSTM is made of plain ops.
    plain = "lstm" in json.dumps(temporal)
    run_steps(described, CPU, StorageTracker("cpu"))  # compiles what is not compiled yet, and that collects garbage
    with pytest.MonkeyPatch.context() as patch:
        if plain:
            patch.setattr(torch.backends.mkldnn, "enabled", False)
        simulated = trace_workload(described, device="cpu")
        with StorageTracker("cpu") as tracker:
            real = run_steps(described, CPU, tracker)
    assert [event.nbytes for event in simulated] == [event.nbytes for event in real]
    assert simulated.phases == real.phases
    assert list(simulated.owners.values()) == list(real.owners.values())


class _Phases(StorageTracker):
    """Tells a count of live tensors its phases, and follows nothing."""

    def __init__(self, live):
        super().__init__("cpu")
        self.phase = live.phase


@pytest.mark.parametrize("name", ["attention", "s4d", "gated-delta-net"])
def test_the_allocator_of_the_cpu_counts_the_same_peak(name, monkeypatch):
    # oneDNN's inner product takes scratch through the allocator that no operator shows, up to 64 KiB here.
    monkeypatch.setattr("vdmbench.ops.linear._pays", lambda x: False)
    # PyTorch's fused attention of narrow heads packs them in room of its own, which no operator shows.
    described = workload(mixer(name, **({"backend": "math"} if name == "attention" else {})))
    simulated = trace_workload(described, device="cpu")
    with LiveTensors() as live:
        run_steps(described, CPU, _Phases(live))
    for phase in simulated.phases:
        assert live.peaks[phase.name] == pytest.approx(simulated.requested_peak(phase), rel=0.01)
