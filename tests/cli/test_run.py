"""``vdmbench run``: records that last, cells that are never run twice, failures that are told."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder


def records(folder):
    return {record.variant: record for record in ResultsFolder(folder).records()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A suite run to its end, by a process of its own."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "minimal.yaml").write_text(
        MINIMAL + "match: {of: temporal, target: 1k, unreachable: record, exempt: [floor, uni]}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from vdmbench.cli.app import main; main()", "run", "minimal.yaml", "--results", "r", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, done


def test_a_suite_runs_to_its_end(finished):
    _, done = finished
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert sorted(summary["cells"].values()) == ["infeasible", "ok", "ok"]
    assert (summary["ran"], summary["left"]) == (3, [])
    assert "cell 1/3 floor" in done.stderr
    assert "3 run now" in done.stderr


def test_a_record_holds_all_that_was_measured(finished):
    folder, _ = finished
    found = records(folder / "r")
    assert found["bi"].status == "infeasible"
    assert "the closest is" in found["bi"].message
    record = found["uni"]
    assert list(record.phases) == ["build", "warm-up", "train", "sample", "evaluate"]
    assert all(reading.rss_peak_bytes and reading.seconds > 0 for reading in record.phases.values())
    assert record.phases["train"].nvml_peak_bytes is None
    assert record.device_memory.status.startswith("unavailable")
    assert 0 < record.baseline_rss_bytes < record.phases["train"].rss_peak_bytes
    assert record.training.step_seconds.count == 2
    assert record.training.frames_per_second > 0
    assert record.sampling.seconds_per_clip > 0
    assert record.backends["selective_scan"] == ["numba"]
    assert record.solved.flops_forward > record.solved.flops_temporal > 0
    assert record.metrics["ste-fd"].floor > 0
    assert record.environment["packages"]["torch"]
    assert record.cohort.startswith("cpu-")
    assert set(record.data) == {"train", "test"}
    assert record.attempt.ended > record.attempt.started


def test_samples_are_kept_as_arrays_and_pictures(finished):
    folder, _ = finished
    record = records(folder / "r")["uni"]
    (attempt,) = ResultsFolder(folder / "r").attempt_folders(record.identity)
    with np.load(attempt.path / record.artifacts["samples"]) as arrays:
        assert arrays["samples"].shape == (4, 6, 16, 16, 3)
        assert arrays["samples"].dtype == arrays["reference"].dtype == np.uint8
    for name in ("gif", "grid"):
        assert (attempt.path / record.artifacts[name]).stat().st_size > 100


def test_what_is_finished_is_not_run_again(finished, vdmbench, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "r").rglob("record.json")}
    outcome = vdmbench("run", "minimal.yaml", "--results", "r", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["ran"] == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "r").rglob("record.json")} == before


def test_a_cell_that_needs_what_is_not_there_stops_the_run_before_it_starts(vdmbench, suite, tmp_path):
    for override, cause in (
        ("data.source={name: folder, path: nowhere}", "nowhere"),
        ("variants.uni.mixer.backend=mamba_ssm", "mamba_ssm"),
        ("run.device=cuda", "no CUDA device"),
    ):
        outcome = vdmbench("run", suite, override, "--results", tmp_path / "r")
        assert outcome.code == 2, override
        assert "error: nothing was run, because:\n" in outcome.err, override  # behind the progress of planning
        assert cause in outcome.err, override
        assert not list((tmp_path / "r" / "cells").iterdir()), override


def test_a_folder_that_cannot_be_written_is_refused(vdmbench, suite, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = vdmbench("run", suite, "--results", tmp_path / "file" / "r")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_failures_are_told_and_do_not_stop_the_others(vdmbench, suite, tmp_path):
    outcome = vdmbench(
        "run",
        suite,
        "variants.floor.set={train.learning_rate: 1e30, train.steps: 60}",
        "run.wall_limit=0.5",
        "--results",
        tmp_path / "r",
        "--json",
    )
    assert outcome.code == 1
    assert set(json.loads(outcome.out)["cells"].values()) == {"timeout"}
    outcome = vdmbench(
        "run",
        suite,
        "variants.floor.set={train.learning_rate: 1e30, train.steps: 60}",
        "--retry",
        "timeout",
        "--results",
        tmp_path / "r",
    )
    assert outcome.code == 1
    found = records(tmp_path / "r")
    assert (found["floor"].status, found["uni"].status, found["bi"].status) == ("nan", "ok", "ok")
    assert "loss is" in found["floor"].message
    assert found["floor"].phase == "train"
    assert "Cells that are not ok" in outcome.out


def test_out_of_memory_says_what_would_have_fitted(vdmbench, tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    one = ["variants={uni: {mixer: identity}}", "data.frames=16", "data.size=32", "train.batch_size=4"]
    limited = [*one, "run.memory_limit=96MiB", "run.device=cpu"]
    outcome = vdmbench("run", tmp_path / "s.yaml", *limited, "--results", tmp_path / "r")
    assert outcome.code == 0, "out of memory is a result"
    record = records(tmp_path / "r")["uni"]
    assert record.status == "oom"
    assert record.environment["memory_limit_bytes"] == 96 * 2**20
    found = record.out_of_memory
    assert found.capacity_bytes == 96 * 2**20 < found.simulated_need_bytes["train"]
    assert 1 <= found.largest["frames"] < 16
    assert f"would hold frames {found.largest['frames']}" in record.message


def test_a_snapshot_of_the_allocator_needs_cuda(vdmbench, suite, tmp_path):
    outcome = vdmbench("run", suite, "run.device=cpu", "--memory-snapshot", "--results", tmp_path / "r")
    assert outcome.code == 2
    assert "a memory snapshot is the history of CUDA's allocator" in outcome.err
