from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vdmbench.metrics.frechet_distance import FrechetDistance
from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy

WORKER = """
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from vdmbench.metrics.frechet_distance import FrechetDistance
from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy

rank, port, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=timedelta(seconds=60))
clips = torch.load(path, weights_only=True)
metric = FrechetDistance(SpatioTemporalEnergy())
metric.update(clips["real"][rank::2], real=True)
metric.update(clips["generated"][: 3] if rank == 0 else clips["generated"][3:], real=False)  # unequal shares
print(repr(float(metric.compute())), int(metric.real_count))
dist.destroy_process_group()
"""


def test_two_ranks_give_what_one_process_gives(tmp_path, discs):
    clips = {"real": discs(9, seed=0), "generated": discs(8, seed=1)}
    torch.save(clips, tmp_path / "clips.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "worker.py")]
    workers = [
        subprocess.Popen(
            [*command, str(rank), port, str(tmp_path / "clips.pt")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    values = [output.split() for output, _ in outputs]
    alone = FrechetDistance(SpatioTemporalEnergy())
    alone.update(clips["real"], real=True)
    alone.update(clips["generated"], real=False)
    assert values[0][0] == values[1][0]  # to the bit
    assert float(values[0][0]) == pytest.approx(float(alone.compute()), rel=1e-9)
    assert [count for _, count in values] == ["5", "4"]  # states are given back after the sync
