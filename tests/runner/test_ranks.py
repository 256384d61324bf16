"""A cell of two devices as processes: whatever happens to a rank, the attempt ends as what it was, and no rank outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.suite.texts import MINIMAL
from vdmbench.matching import solve
from vdmbench.records import Record, ResultsFolder
from vdmbench.runner.one_cell import run_planned
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run
from vdmbench.user_code import allow, fingerprint

STEPS = 30
OVERRIDES = ("train.devices=2", f"train.steps={STEPS}", "train.warm_up=0", "sample.clips=4", "evaluate.real_clips=4")
RUN_OUT = '''
import os, torch
from vdmbench.mixers import Mixer

class RunOut(Mixer):
    """Out of memory on the second device alone."""

    def __init__(self, channels):
        super().__init__(channels, causal=True)
        self.inner_width = channels
        self.scale = torch.nn.Parameter(torch.ones(channels))

    def forward(self, x):
        if os.environ.get("RANK") == "1":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return x * self.scale

    def state_size(self, frames):
        return 0

    def flops(self, frames):
        return 2 * frames * self.channels
'''


def workers() -> list[psutil.Process]:
    """Ranks below this process, in order."""
    below = psutil.Process().children(recursive=True)
    return sorted((each for each in below if _is_rank(each)), key=lambda each: int(each.environ()["RANK"]))


def _is_rank(process: psutil.Process) -> bool:
    try:
        return "vdmbench.runner.worker" in process.cmdline() and "RANK" in process.environ()
    except psutil.NoSuchProcess:
        return False


class Hit:
    """Sends a signal to one rank once training has come to a step."""

    def __init__(self, rank: int, number: signal.Signals, step: int) -> None:
        self.rank, self.number, self.step = rank, number, step
        self.hit: list[psutil.Process] = []

    def __call__(self, event):
        if not self.hit and event["type"] == "progress" and event["step"] >= self.step:
            self.hit = workers()
            self.hit[self.rank].send_signal(self.number)


def planned(*overrides: str, text: str = MINIMAL) -> Planned:
    cell = expand(*parse_suite(text, overrides=[*OVERRIDES, *overrides]))[0]
    return Planned(cell, solve(cell.inputs).solved, None)


def run(results: ResultsFolder, cell: Planned, hit: Hit) -> Record:
    results.prepare()
    settings = Run(device="cpu", threads=1, checkpoint_every=5)
    record = run_planned(results, cell, settings, retry=frozenset(), place=Place(), listen=hit)
    assert not workers(), "a rank outlived its attempt"
    return record


NEVER = 10**9
LAUNCH = """
import sys
from vdmbench.runner.ranks import end_as, launch

sys.exit(end_as(launch([sys.executable, *sys.argv[1:]], 3)))
"""
TELL = """
import json, os, sys, torch
from vdmbench.engine import Ranks

ranks = Ranks.join(torch.device("cpu"), "none")
met = ranks.any(ranks.index == 2)
told = {"group": os.getpgid(0), "index": ranks.index, "count": ranks.count, "own": os.environ["LOCAL_RANK"], "met": met}
open(os.path.join(sys.argv[1], str(ranks.index)), "w").write(json.dumps(told))
"""
DEAF = """
import os, signal, sys, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(os.path.join(sys.argv[1], os.environ["RANK"]), "w")
time.sleep(600)
"""


def launched(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", LAUNCH, *command], start_new_session=True)


def test_ranks_meet_and_are_of_one_process_group(tmp_path):
    launcher = launched("-c", TELL, str(tmp_path))
    assert launcher.wait(120) == 0
    told = [json.loads((tmp_path / str(rank)).read_text()) for rank in range(3)]
    assert told == [{"group": launcher.pid, "index": rank, "count": 3, "own": str(rank), "met": True} for rank in range(3)]


@pytest.mark.parametrize(("fails", "code"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", -9), ("os.abort()", -6)])
def test_the_launcher_ends_as_the_first_rank_that_fails_and_takes_the_others_along(fails, code):
    began = time.monotonic()
    launcher = launched("-c", f"import os, sys, time\nif os.environ['RANK'] == '1': {fails}\ntime.sleep(600)")
    assert launcher.wait(120) == code
    assert time.monotonic() - began < 100
    with pytest.raises(ProcessLookupError):
        os.killpg(launcher.pid, 0)


def test_a_rank_that_does_not_heed_a_signal_to_the_launcher_is_killed(tmp_path):
    launcher = launched("-c", DEAF, str(tmp_path))
    deadline = time.monotonic() + 100
    while len(list(tmp_path.iterdir())) < 3:
        assert time.monotonic() < deadline, "the ranks did not begin"
        time.sleep(0.05)
    os.kill(launcher.pid, signal.SIGTERM)
    assert launcher.wait(60) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.killpg(launcher.pid, 0)


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_preempted_rank_takes_the_others_to_a_checkpoint_of_the_same_step(tmp_path):
    results, cell = ResultsFolder(tmp_path), planned()
    told = run(results, cell, Hit(1, signal.SIGTERM, step=2))
    assert (told.status, told.phase) == ("interrupted", "train"), told.message
    (kept,) = results.checkpoint_folder(cell.cell.identity).iterdir()
    assert f"did after step {int(kept.stem.partition('-')[2])} with a checkpoint" in told.message


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_killed_rank_costs_at_most_the_steps_since_a_checkpoint(tmp_path):
    results, cell = ResultsFolder(tmp_path), planned()
    began = time.monotonic()
    killed = run(results, cell, Hit(1, signal.SIGKILL, step=12))
    assert (killed.status, killed.phase, killed.exit.signal) == ("signal", "train", "SIGKILL"), killed.message
    assert time.monotonic() - began < 120, "the rank that was left waited for a dead one"

    done = run(results, cell, Hit(0, signal.SIGTERM, step=NEVER))
    assert (done.status, done.training.steps) == ("ok", STEPS), done.message
    assert done.training.first_step >= 10
    assert len(done.phases["train"].ranks) == 2
    assert done.phases["sample"].ranks is None, "one rank samples"
    assert done.cohort.startswith("2x-cpu-")
    assert done.metrics["ste-fd"].value > 0


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_one_rank_out_of_memory_is_an_out_of_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run_out.py").write_text(RUN_OUT)
    allow([fingerprint("run_out.py:RunOut")])
    cell = planned(
        text=MINIMAL.replace("{mixer: identity}", "{mixer: 'run_out.py:RunOut'}").replace(
            "multipliers: [1]", "multipliers: [1], initial_gain: null"
        )
    )
    record = run(ResultsFolder(tmp_path / "r"), cell, Hit(0, signal.SIGTERM, step=NEVER))
    assert (record.status, record.phase) == ("oom", "train"), record.message
    assert "Tried to allocate 1.00 GiB" in record.message


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_rank_outlives_a_killed_supervisor(tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    command = "from vdmbench.cli.app import main; main()"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", command, "run", "s.yaml", "--results", "r", "--only", "floor", "run.device=cpu", *OVERRIDES,
         "train.steps=100000"], cwd=tmp_path, start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + 200
    while len(ranks := workers()) < 2 or not list(tmp_path.glob("r/cells/*/attempts/*/events.jsonl")):
        assert supervisor.poll() is None and time.monotonic() < deadline, "training did not begin"  # noqa: PT018
        time.sleep(0.1)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    _, alive = psutil.wait_procs(ranks, timeout=20)
    assert not alive, "ranks outlived their supervisor"
