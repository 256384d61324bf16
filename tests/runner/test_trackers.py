"""Curves arrive in a viewer as they were in the events; a tracker that fails fails nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.commands import vdmbench
from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder, read_events
from vdmbench.runner.trackers import scalars_of

__all__ = ["vdmbench"]


def tracked_run(folder: Path, *options: str, **environment: str):
    (folder / "s.yaml").write_text(MINIMAL)
    one = ["variants={floor: {mixer: identity}}", "run.device=cpu", "train.steps=4"]
    command = [
        sys.executable,
        "-c",
        "from vdmbench.cli.app import main; main()",
        "run",
        "s.yaml",
        "--results",
        "r",
        *one,
        *options,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    return folder, tracked_run(folder, "run.trackers=[tensorboard]")


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="reads event files back by tensorboard: pip install tensorboard")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_every_number_of_the_events(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, done = tracked
    assert done.returncode == 0, done.stderr
    results = ResultsFolder(folder / "r")
    (record,) = results.records()
    (written,) = (folder / "r" / "tensorboard").iterdir()
    assert written.name == f"floor-{record.identity}"
    viewer = EventAccumulator(str(written)).Reload()
    found = {tag: [(event.step, event.value) for event in viewer.Scalars(tag)] for tag in viewer.Tags()["scalars"]}
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4]
    assert [loss for _, loss in found["train/loss"]] == pytest.approx(record.training.loss)
    assert found["metrics/ste-fd"] == [(4, pytest.approx(record.metrics["ste-fd"].value))]
    for phase, reading in record.phases.items():
        ((_, peak),) = found[f"memory/{phase}/rss_peak_bytes"]
        assert peak == pytest.approx(reading.rss_peak_bytes)
    told = {name for event in read_events(results.folder_of(record).events) for name in scalars_of(event)}
    assert set(found) == told
    (declared,) = viewer.Tensors("declared/text_summary")
    text = declared.tensor_proto.string_val[0].decode()
    assert json.loads(text) == record.declared
    (status,) = viewer.Tensors("status/text_summary")
    assert status.tensor_proto.string_val[0] == b"ok"


def test_a_tracker_that_fails_says_so_once_and_fails_no_cell(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "tensorboard").write_text("in the way")
    done = tracked_run(tmp_path, "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tracker tensorboard failed and is told nothing more of this run; cells and records go on") == 1
    assert [record.status for record in ResultsFolder(tmp_path / "r").records()] == ["ok"]


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed here, so nothing is missing")
def test_a_tracker_that_is_not_installed_is_refused_with_the_install_line(vdmbench, tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    outcome = vdmbench("run", tmp_path / "s.yaml", "--track", "wandb", "--results", tmp_path / "r")
    assert outcome.code == 2
    assert "pip install 'vdmbench[wandb]'" in outcome.err
    assert not list((tmp_path / "r" / "cells").iterdir())


def test_a_tracker_of_another_name_is_refused_with_those_there_are(vdmbench, tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    outcome = vdmbench("run", tmp_path / "s.yaml", "run.trackers=[mlflow]", "--results", tmp_path / "r")
    assert outcome.code == 2
    assert "run.trackers[0]" in outcome.err
    assert "'tensorboard' or 'wandb'" in outcome.err


@pytest.mark.skipif(find_spec("wandb") is None, reason="needs Weights & Biases: pip install 'vdmbench[wandb]'")
def test_wandb_keeps_an_offline_run(tmp_path):
    done = tracked_run(tmp_path, "--track", "wandb", WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "r" / "wandb").glob("offline-run-*/*.wandb"))
