"""Simulated CUDA peaks against those of a real device."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.memory.workloads import mixer, network
from vdmbench.matching.simulation import simulate
from vdmbench.matching.target import Target
from vdmbench.matching.workload import Workload
from vdmbench.memory.architecture import card_like
from vdmbench.suite.blocks import Sample, Train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="measures a CUDA device: run `make test-gpu` where there is one"),
]

_PROBE = """
import json, sys
from vdmbench.matching.probe import measure_peaks
from vdmbench.matching.target import Target
from vdmbench.matching.workload import Workload
from vdmbench.memory.architecture import card_like
from vdmbench.suite.blocks import Sample, Train
asked = json.load(sys.stdin)
asked.update(train=Train(**asked["train"]), sample=Sample(**asked["sample"]))
print(json.dumps(measure_peaks(Workload(**asked))))
"""
"""In a process of its own, where no workspace of an earlier test is alive."""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["identity", "attention", "linear-attention", "s4d", "mamba", "mamba2", "hydra", "lstm"])
def test_the_simulation_meets_a_real_device(name, precision):
    train = Train(steps=2, batch_size=2, precision=precision)
    sample = Sample(clips=4, batch_size=2, precision=precision)
    target = Target(card_like(torch.cuda.get_device_capability()))
    described = network(base_channels=32, multipliers=(1, 2, 4, 8))
    workload = Workload(described, mixer(name), 64, 64, train, sample, target=target)
    asked = {**vars(workload), "train": train.model_dump(), "sample": sample.model_dump()}
    del asked["diffusion"], asked["target"]  # the default, and what is measured takes no notice of
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    for phase, peak in simulate(workload).items():
        assert peak.allocated_peak_bytes == pytest.approx(measured[phase]["allocated_peak_bytes"], rel=0.02)
        assert peak.reserved_peak_bytes == pytest.approx(measured[phase]["reserved_peak_bytes"], rel=0.05)
