"""Memory is simulated for the process and the sampler that are declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.memory.workloads import mixer, network
from vdmbench.matching.simulation import simulate
from vdmbench.matching.workload import Workload
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import DiscreteDiffusion, EDMDiffusion, FlowDiffusion

DISCRETE = Workload(
    network(base_channels=8, multipliers=(1,)), mixer("identity"), 4, 8, Train(steps=2, batch_size=2),
    Sample(sampler="ddim", steps=4, clips=2, batch_size=2), DiscreteDiffusion(),
)  # fmt: skip


def sampled_by(sampler: str, diffusion) -> Workload:
    return replace(DISCRETE, diffusion=diffusion, sample=Sample(sampler=sampler, steps=4, clips=2, batch_size=2))


@pytest.mark.parametrize(
    ("sampler", "diffusion"),
    [
        ("euler", FlowDiffusion(process="flow")),
        ("heun", EDMDiffusion(process="edm")),
        ("dpmpp-2m", DiscreteDiffusion(schedule="linear", min_snr_gamma=5.0)),
    ],
)
def test_every_process_is_simulated(sampler: str, diffusion):
    """Close to the discrete process, for the network is the same and takes most."""
    peaks, plain = simulate(sampled_by(sampler, diffusion)), simulate(DISCRETE)
    for phase in ("train", "sample"):
        assert peaks[phase].allocated_peak_bytes == pytest.approx(plain[phase].allocated_peak_bytes, rel=0.05)


def test_heun_holds_a_slope_while_it_evaluates_the_second():
    euler, heun = (
        simulate(sampled_by(name, FlowDiffusion(process="flow")), ("sample",))["sample"] for name in ("euler", "heun")
    )
    clips = 2 * 4 * 3 * 8 * 8 * 4  # bytes
    assert heun.allocated_peak_bytes >= euler.allocated_peak_bytes + clips


def test_workloads_differ_by_what_memory_depends_on_and_nothing_else():
    key = DISCRETE.key()
    assert replace(DISCRETE, diffusion=DiscreteDiffusion(schedule="linear", steps=99)).key() == key
    for other in (DiscreteDiffusion(min_snr_gamma=5.0), DiscreteDiffusion(levels="frame"), EDMDiffusion(process="edm")):
        assert replace(DISCRETE, diffusion=other).key() != key
