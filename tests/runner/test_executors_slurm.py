"""Cells as jobs through submitit: as processes of this machine, and as jobs of a real Slurm where one is asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.runner.clusters import ON_CPU, At, cells, prepared, run, statuses

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'vdmbench[slurm]'")

from vdmbench.runner.executors.slurm import CannotSubmit, SlurmExecutor

pytestmark = pytest.mark.timeout(600)


@pytest.mark.fault
def test_a_preempted_job_is_queued_again_and_goes_on_from_its_checkpoint(tmp_path):
    results, (planned,) = prepared(tmp_path), cells(1, "train.steps=150")
    executor = SlurmExecutor(results, ON_CPU, cluster="local")

    def preempt(planned):
        (job,) = psutil.Process(int(executor.submitted(planned.cell.identity).job_id)).children()
        job.send_signal(signal.SIGUSR2)  # as Slurm does: submitit asks it for this signal

    observer = At(step=4, act=preempt)
    summary = run(results, [planned], executor, observer)
    assert summary.exit_code == 0, summary
    assert statuses(results, planned) == ["interrupted", "ok"]
    first, second = results.history(planned.cell.identity).attempts
    assert "it is queued again" in first.message
    assert 4 <= second.training.first_step < 150
    assert observer.started == [planned.cell.identity] * 2, "each life of the job is an attempt"


def test_what_slurm_needs_is_told(tmp_path, monkeypatch):
    results = prepared(tmp_path)
    with pytest.raises(CannotSubmit, match="give whole minutes, such as --slurm time=240"):
        SlurmExecutor(results, ON_CPU, cluster="local", options={"time": "4:00:00"})
    monkeypatch.setenv("PATH", str(tmp_path))  # where no sbatch is
    with pytest.raises(CannotSubmit, match="on a node that submits jobs"):
        SlurmExecutor(results, ON_CPU)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of one node, of this machine."""
    if os.environ.get("VDMBENCH_TEST_SLURM") != "1":
        pytest.skip("starts a Slurm on this machine: as root, apt-get install slurmctld slurmd slurm-client munge, then "
                    "VDMBENCH_TEST_SLURM=1 pytest -m slow tests/runner/test_executors_slurm.py")  # fmt: skip
    assert shutil.which("slurmctld"), "apt-get install slurmctld slurmd slurm-client munge"
    script, state = Path(__file__).with_name("one_node_slurm.sh"), tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", script, "start", state], check=True)
    os.environ["SLURM_CONF"] = str(state / "slurm.conf")
    yield
    del os.environ["SLURM_CONF"]
    subprocess.run(["bash", script, "stop", state], check=True)


@pytest.mark.slow
@pytest.mark.fault
def test_a_real_slurm_runs_an_array_and_preempts(slurm, tmp_path):
    results, plan = prepared(tmp_path), cells(2, "train.steps=200")
    executor = SlurmExecutor(results, ON_CPU, partition="tests", options={"time": "20", "comment": "vdmbench"})

    def preempt(planned):
        """As Slurm does: the signal of submitit to the job, which then puts itself in the queue again."""
        job = executor.submitted(planned.cell.identity).job_id
        subprocess.run(["scancel", "--signal=USR2", job], check=True)

    observer = At(step=4, act=preempt)
    summary = run(results, plan, executor, observer)
    assert summary.exit_code == 0, summary
    assert statuses(results, observer.hit) == ["interrupted", "ok"]
    assert results.history(observer.hit.cell.identity).latest.training.first_step >= 4
    assert [statuses(results, planned).count("ok") for planned in plan] == [1, 1]


@pytest.mark.slow
@pytest.mark.fault
def test_jobs_of_a_real_slurm_end_with_their_run_and_with_a_record(slurm, tmp_path):
    results, plan = prepared(tmp_path), cells(2, "train.steps=100000")
    executor = SlurmExecutor(results, ON_CPU, partition="tests", at_once=1)
    observer = At(step=4, act=lambda planned: executor.submitted(planned.cell.identity).cancel())
    observer.cell_ended = lambda planned, record: executor.stop("enough was seen")
    summary = run(results, plan, executor, observer)
    assert summary.exit_code == 3
    assert statuses(results, observer.hit) == ["interrupted"]
    assert "with a checkpoint" in results.history(observer.hit.cell.identity).latest.message
