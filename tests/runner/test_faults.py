"""One cell meets one fault after the other, in every phase, and ends as if nothing had happened."""

from __future__ import annotations

import os
import resource
import signal
import subprocess

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder
from vdmbench.runner.planning import Planned
from vdmbench.runner.supervisor import run_suite
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run

FRAGILE = '''
import os, signal, sys
from pathlib import Path
from torch import nn
from vdmbench.mixers import Mixer

def die_in(phase):
    """Where a file beside this one says so, kill this worker (and no planner)."""
    told = Path(__file__).with_name("die_in")
    if sys.argv[0].endswith("worker.py") and told.exists() and told.read_text() == phase:
        os.kill(os.getpid(), signal.SIGKILL)

class Fragile(Mixer):
    def __init__(self, channels):
        super().__init__(channels, causal=True)
        self.inner_width = channels
        self.mix = nn.Linear(channels, channels)
        die_in("build")

    def forward(self, x):
        die_in("warm-up" if self.training else "sample")
        return self.mix(x)

    def state_size(self, frames):
        return 0

    def flops(self, frames):
        return 2 * frames * self.mix.weight.numel()
'''


class KillIn:
    """Kills the worker as soon as it is heard to begin a phase."""

    def __init__(self, phase=None):
        self.phase = phase

    def cell_started(self, planned, number, total): ...

    def event(self, event):
        if event["type"] == "phase_started" and event["phase"] == self.phase:
            children = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "runner.worker"], capture_output=True, check=True)
            os.kill(int(children.stdout), signal.SIGKILL)

    def cell_ended(self, planned, record, *, reused): ...


@pytest.fixture
def file_size_limit():
    """As a full disk: no file may grow beyond so many bytes, the worker's neither."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_cell_survives_a_kill_in_every_phase_and_a_full_disk(tmp_path, monkeypatch, file_size_limit):
    from vdmbench.matching import solve

    monkeypatch.chdir(tmp_path)
    (tmp_path / "fragile.py").write_text(FRAGILE)
    text = MINIMAL.replace("floor: {mixer: identity}", "floor: {mixer: 'fragile.py:Fragile'}").replace(
        "bootstrap: 20", "bootstrap: 200"
    )
    cell = expand(*parse_suite(text))[0]
    planned = Planned(cell, solve(cell.inputs).solved, None)
    results = ResultsFolder(tmp_path / "r")
    results.prepare()

    def run(kill_in=None):
        (record,) = (record for _, record in run_suite(results, [planned], Run(device="cpu"), KillIn(kill_in)).records)
        return record

    for phase in ("build", "warm-up"):
        (tmp_path / "die_in").write_text(phase)
        record = run()
        assert (record.status, record.phase, record.exit.signal) == ("signal", phase, "SIGKILL")
    (tmp_path / "die_in").unlink()

    file_size_limit(100_000)
    record = run()
    assert (record.status, record.phase) == ("error", "train")
    assert "File too large" in record.message
    assert not list(results.checkpoint_folder(cell.identity).iterdir()), "half a checkpoint was left"
    file_size_limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])

    (tmp_path / "die_in").write_text("sample")
    record = run()
    assert (record.status, record.phase, record.training.first_step) == ("signal", "sample", 0)
    (tmp_path / "die_in").unlink()

    record = run("evaluate")
    assert (record.status, record.phase, record.training.first_step) == ("signal", "evaluate", 2)

    record = run()
    assert (record.status, record.training.first_step, record.training.steps) == ("ok", 2, 2)
    assert record.metrics["ste-fd"].value > 0
    history = results.history(cell.identity)
    assert [each.status for each in history.attempts] == ["signal", "signal", "error", "signal", "signal", "ok"]
    assert [each.attempt.ordinal for each in history.attempts] == [1, 2, 3, 4, 5, 6]
