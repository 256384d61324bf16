"""Trials, a choice, images and then video, as a user runs them: the second of two variants begins with the first's weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import vdmbench
from vdmbench.quantities import find_quantity
from vdmbench.records import ResultsFolder

__all__ = ["vdmbench"]

pytestmark = pytest.mark.timeout(900)  # seven workers, one after the other

DOCS = Path(__file__).parents[2] / "docs" / "suites.md"
(SUITE,) = [block for block in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL) if "name: tuned" in block]
"""The example that a stranger reads."""
FOR_TUNING = 5
"""Two trials of each variant; and the image of the tuning's seed, with which the trials of the video begin."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The results of one run, the suite's file, and what the run said."""
    from typer.testing import CliRunner

    from vdmbench.cli.app import app

    folder = tmp_path_factory.mktemp("tuned")
    (folder / "s.yaml").write_text(SUITE)
    arguments = ["run", str(folder / "s.yaml"), "--only", "video", "--results", str(folder / "r"), "--json"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    return folder / "r", folder / "s.yaml", json.loads(outcome.stdout)


def val_loss(record):
    return find_quantity("val_loss", []).read(record)


def records(folder):
    return {record.label: record for record in ResultsFolder(folder).records()}


def test_one_variant_alone_runs_what_it_waits_for(ran):
    folder, _, said = ran
    found = records(folder)
    assert len(found) == FOR_TUNING + 2
    assert said["ran"] == FOR_TUNING + 2
    assert sum(record.for_tuning for record in found.values()) == FOR_TUNING
    assert {record.status for record in found.values()} == {"ok"}
    assert found["tuning: video learning_rate=0.01 seed=100"].training.steps == 2


def test_the_record_holds_the_choice_with_its_trials(ran):
    found = records(ran[0])
    for variant in ("image", "video"):
        tuned = found[f"{variant} seed=0"].tuned
        scores = {trial.value: trial.score for trial in tuned.trials}
        assert tuned.chosen == min(scores, key=scores.get)
        for trial in tuned.trials:
            record = found[f"tuning: {variant} learning_rate={trial.value} seed=100"]
            assert (record.identity, val_loss(record)) == (trial.identity, trial.score)
        assert any(
            "of the grid, and the best by val_loss may lie beyond it" in line for line in found[f"{variant} seed=0"].warnings
        )


def test_the_record_holds_what_it_began_with(ran):
    found = records(ran[0])
    image, video = found["image seed=0"], found["video seed=0"]
    began = video.initialised
    assert (began.cell, began.weights) == (image.identity, "averaged")
    assert began.matched_parameters == began.parameters == video.solved.parameters.network
    assert (began.initialised, began.left, image.initialised) == ([], [], None)
    assert found["tuning: video learning_rate=0.01 seed=100"].initialised.cell == found["tuning: image seed=100"].identity


def test_the_video_begins_with_the_averaged_weights_of_the_image(ran):
    """What the worker was handed, read as the worker reads it."""
    import torch

    from vdmbench.runner.checkpoint import Checkpoints, trained_elsewhere
    from vdmbench.runner.task import Task

    results = ResultsFolder(ran[0])
    found = records(ran[0])
    task = Task.read(results.folder_of(found["video seed=0"]).path)
    taken = trained_elsewhere(task.weights).read()
    state = Checkpoints(results.checkpoint_folder(found["image seed=0"].identity)).latest()
    assert state.step == 4
    raw, averaged = state.tensors["network"], state.tensors["average"]
    assert taken.keys() == raw.keys()
    assert all(torch.equal(tensor, averaged[f"module.{path}"]) for path, tensor in taken.items())
    assert any(not torch.equal(tensor, raw[path]) for path, tensor in taken.items())
    assert task.inputs.train.learning_rate == found["video seed=0"].tuned.chosen


def test_plan_tells_the_trials_and_what_they_chose(ran, vdmbench):
    folder, suite, _ = ran
    said = vdmbench("plan", suite, "--no-memory", "--results", folder)
    assert f"tuning: train.learning_rate of 0.001, 0.01 by val_loss: {FOR_TUNING} cells run first, 50% of the steps" in said.out
    assert "video begins with the weights of image" in said.out
    assert f"Chosen by trials in {folder}" in said.out.replace("\n", "")
    told = json.loads(vdmbench("plan", suite, "--no-memory", "--results", folder, "--json").out)
    (video,) = [cell for cell in told["cells"] if cell["variant"] == "video" and "for_tuning" not in cell]
    assert video["tuned"]["chosen"] == records(folder)["video seed=0"].tuned.chosen
    assert video["begins_with"]["matched_parameters"] == video["parameters"]["network"]


def test_status_counts_trials_and_the_report_leaves_them_out(ran, vdmbench, tmp_path):
    folder, *_ = ran
    told = json.loads(vdmbench("status", folder, "--json").out)
    assert sum(cell["for_tuning"] for cell in told["cells"]) == FOR_TUNING
    assert told["counts"]["done"] == FOR_TUNING + 2
    from vdmbench.report.results import read_results

    assert [cell.record.label for cell in read_results([folder])] == ["image seed=0", "video seed=0"]


def test_a_merged_folder_knows_the_choice_and_blocks_what_would_need_weights(ran, vdmbench, tmp_path):
    folder, suite, _ = ran
    assert vdmbench("merge", folder, "--into", tmp_path / "merged").code == 0
    shutil.rmtree(ResultsFolder(tmp_path / "merged").cell_folder(records(folder)["video seed=0"].identity))
    ran_again = vdmbench("run", suite, "--results", tmp_path / "merged", "--json")
    assert ran_again.code == 3
    told = json.loads(ran_again.out)
    assert told["ran"] == 0
    (blocked,) = told["not_ok"]
    assert "blocked: the trained weights of image seed=0" in blocked["message"]
    assert "Blocked" in vdmbench("status", tmp_path / "merged").out


def test_variants_with_nothing_in_common_are_refused_when_they_are_planned(ran, vdmbench):
    _, suite, _ = ran
    little = vdmbench("plan", suite, "--no-memory", "variants.video.set={network.base_channels: 16}")
    assert little.code == 0
    assert "warning: video begins with 7 of its 431,815 parameters" in little.err
    said = vdmbench("plan", suite, "--no-memory", "variants.video.set={network: {name: dit, base_channels: 16, depth: 2}}")
    assert said.code == 2
    (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert "variants.video.init_from: no parameter of this variant has the path and shape of one of 'image'" in line
