"""Several cells at once, limits on a run, and two interrupts: with real workers, through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.faults.episodes import heed_interrupts
from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder
from vdmbench.runner.launch import GRACE_SECONDS

VDMBENCH = [sys.executable, "-c", "from vdmbench.cli.app import main; main()"]
COMMAND = [*VDMBENCH, "run", "s.yaml", "--results", "r", "run.device=cpu"]


@pytest.fixture
def here(tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    return tmp_path


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cells at once need two cores: run on a machine with two")
@pytest.mark.timeout(600)
def test_two_cells_run_at_once_on_cores_of_their_own(here):
    done = subprocess.run(
        [*COMMAND, "--jobs", "2", "--only", "floor", "--only", "uni", "--json"],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert (list(answer["cells"].values()), answer["ran"], len(answer["left"])) == (["ok", "ok"], 2, 1)
    assert answer["not_ok"] == []
    one, other = ResultsFolder(here / "r").records()
    assert one.attempt.started < other.attempt.ended
    assert other.attempt.started < one.attempt.ended
    places = [each.environment["place"] for each in (one, other)]
    assert not set(places[0]["cores"]) & set(places[1]["cores"])
    for record, place in zip((one, other), places, strict=True):
        assert (place["cells_at_once"], place["gpus"]) == (2, None)
        assert record.environment["cpu"]["cores_visible"] == record.environment["threads"]["torch"] == len(place["cores"])


@pytest.mark.timeout(600)
def test_at_the_limit_of_the_run_running_cells_are_interrupted_and_the_rest_is_left(here):
    limit = ["run.suite_wall_limit=1000", "--wall-limit", "0.3"]
    done = subprocess.run([*COMMAND, *limit, "--json"], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["ran"], len(answer["left"])) == (1, 2)
    (told,) = answer["not_ok"]
    assert (told["status"], told["message"]) == ("interrupted", "interrupted: the run's limit of 0.3 s was reached")


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_second_interrupt_does_not_wait_for_a_worker_that_does_not_end(here):
    run = subprocess.Popen(
        [*COMMAND, "train.steps=100000", "--only", "floor"],
        cwd=here, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert "cell 1/1 floor" in run.stderr.readline()
    # A worker that trains handles SIGTERM; at any other time the kernel would end it by that, even suspended.
    while not any('"phase": "train", "step": ' in log.read_text() for log in here.glob("r/cells/*/attempts/*/events.jsonl")):
        time.sleep(0.02)
    (worker,) = (each for each in psutil.Process(run.pid).children() if "runner.worker" in " ".join(each.cmdline()))
    worker.suspend()  # hears no SIGTERM, so that its seconds of grace would pass
    run.send_signal(signal.SIGINT)
    assert any("ending: from the keyboard" in line for line in run.stderr)
    before = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=100)
    assert time.monotonic() - before < GRACE_SECONDS
    assert run.returncode == 130
    assert "the same command goes on where it stopped" in err
    (record,) = ResultsFolder(here / "r").records()
    assert (record.status, record.exit.signal) == ("interrupted", "SIGKILL")
    assert not worker.is_running()


def test_places_that_would_be_shared_are_refused_in_one_line(vdmbench, here):
    many = len(os.sched_getaffinity(0)) + 1
    outcome = vdmbench("run", here / "s.yaml", "run.device=cpu", "--jobs", many, "--results", here / "r")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"error: --jobs {many}: this process may use {many - 1} core")
    assert not (here / "r").exists()


@pytest.mark.gpu
@pytest.mark.timeout(600)
def test_one_cell_a_gpu_and_its_record_names_it(here):
    command = [*VDMBENCH, "run", "s.yaml", "--results", "r", "--gpus", "all", "--only", "floor", "--only", "uni", "--json"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    for record in ResultsFolder(here / "r").records():
        (named,) = record.environment["place"]["gpus"]
        assert [gpu["uuid"] for gpu in record.environment["gpus"]] == [named] == [record.device_memory.device_uuid]
