"""Whether memory can be simulated with a mixer: what ``vdmbench plan`` does with each, asked of one before there is a suite."""

from __future__ import annotations

from vdmbench.matching.cost import Choice
from vdmbench.matching.simulation import CannotSimulate, simulate
from vdmbench.matching.workload import Workload
from vdmbench.mixers.conformance import Check
from vdmbench.suite.blocks import Sample, Train

NAME = "simulation"


def check_simulation(mixer: Choice) -> Check:
    """Train and sample a small network of that mixer on fake tensors, in float32 and in half precision."""
    network = {"name": "unet3d", "base_channels": 8, "multipliers": [1]}
    sample = Sample(sampler="ddim", steps=2, clips=1, batch_size=1)
    for precision in ("fp32", "bf16"):
        train = Train(steps=1, batch_size=1, precision=precision)
        try:
            simulate(Workload(network, mixer, 5, 8, train, sample))
        except CannotSimulate as error:
            return Check(NAME, False, f"{error} (training in {precision})")
    return Check(NAME, True)
