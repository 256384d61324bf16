"""Memory of clips made chunk by chunk, simulated: flat where the state is, and a cache as large as it becomes."""

from __future__ import annotations

import pytest

from vdmbench.matching.cost import cost
from vdmbench.matching.simulation import simulate
from vdmbench.matching.workload import Workload
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import FlowDiffusion

NETWORK = {"name": "dit", "base_channels": 16, "depth": 2, "patch": (1, 4, 4)}


def peak(mixer: dict, frames: int) -> int:
    sample = Sample(sampler="euler", steps=4, frames=frames, rollout={"chunk": 1}, clips=1, batch_size=1)
    train = Train(steps=1, batch_size=1)
    workload = Workload(NETWORK, mixer, 8, 16, train, sample, FlowDiffusion(process="flow", levels="frame"))
    return simulate(workload, ("sample",))["sample"].allocated_peak_bytes


@pytest.mark.parametrize("mixer", [{"name": "mamba2"}, {"name": "sliding-attention", "causal": True, "window": 8}])
def test_a_constant_state_takes_as_much_at_any_length(mixer: dict):
    assert peak(mixer, 50) == peak(mixer, 7200)


def test_a_cache_takes_what_it_holds_twice_while_a_frame_is_let_in():
    mixer = {"name": "attention", "causal": True}
    cache = 4 * cost(NETWORK, mixer, frames=7200, size=16).state_elements
    assert peak(mixer, 7200) - peak(mixer, 2) == pytest.approx(2 * cache, rel=0.05)
