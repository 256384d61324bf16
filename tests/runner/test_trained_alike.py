"""Cells that train alike train once; each is what it would have been alone, and says whose training it is of."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.cli.commands import vdmbench
from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder
from vdmbench.runner.trained_alike import find_trained, training_key
from vdmbench.suite import expand, parse_suite

__all__ = ["vdmbench"]

ONE = ("run.device=cpu", "run.threads=1", "--only", "uni")


def keys(*overrides: str) -> dict[str, str]:
    cells = expand(*parse_suite(MINIMAL, overrides=overrides))
    solved = type("Solved", (), {"knobs": {}})()
    return {cell.label: training_key(cell.inputs, solved) for cell in cells}


def test_sampling_and_judging_decide_nothing_of_a_network_and_all_else_does():
    base = keys()
    assert len(set(base.values())) == 3
    for alike in ("sample.steps=3", "sample.clips=6", "evaluate.cuts=true", "sweep={sample.steps: [2, 3]}"):
        assert set(keys(alike).values()) == set(base.values())
    for other in ("seeds=[1]", "train.steps=3", "data.frames=7", "diffusion.steps=9", "network.base_channels=16"):
        assert not set(keys(other).values()) & set(base.values())
    # What is taken along training goes with it: its points, and the clips of the held-out loss.
    for other in ("evaluate.at=[0.5, 1]", "evaluate.val_loss=null", "evaluate.real_clips=6"):
        assert not set(keys(other).values()) & set(base.values())
    fixed = ("evaluate.val_loss={clips: 4}",)
    assert set(keys(*fixed, "evaluate.real_clips=6").values()) == set(keys(*fixed).values())


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two lengths of sampling from one training."""
    from typer.testing import CliRunner

    from vdmbench.cli.app import app

    folder = tmp_path_factory.mktemp("swept")
    (folder / "s.yaml").write_text(MINIMAL + "sweep: {sample.steps: [2, 3]}\n")
    outcome = CliRunner().invoke(app, ["run", str(folder / "s.yaml"), *ONE, "--results", str(folder / "r")])
    assert outcome.exit_code == 3, outcome.output  # other variants are left
    return folder, outcome.output


def by_steps(folder) -> dict:
    return {record.point["sample.steps"]: record for record in ResultsFolder(folder).records()}


def clips_of(folder, record):
    with np.load(ResultsFolder(folder).folder_of(record).path / record.artifacts["samples"]) as arrays:
        return arrays["samples"].tobytes()


def test_the_second_cell_takes_the_network_of_the_first_and_tells_its_training(swept):
    folder, said = swept
    found = by_steps(folder / "r")
    (trained,) = [each for each in found.values() if each.training.first_step == 0]
    (took,) = [each for each in found.values() if each is not trained]
    assert took.training.measured_in == f"{trained.identity}/{trained.attempt.id}"
    assert took.training.of_another_cell
    assert took.phases["train"] == trained.phases["train"]
    assert took.training.step_seconds == trained.training.step_seconds
    assert took.training.loss == trained.training.loss
    assert took.sampling.steps != trained.sampling.steps
    assert f"{took.label} takes the network that {trained.label} ({trained.identity}) trained alike" in said


def test_it_gives_the_bits_that_it_gives_alone(swept, vdmbench, tmp_path):
    folder, _ = swept
    took = next(each for each in by_steps(folder / "r").values() if each.training.of_another_cell)
    steps = took.point["sample.steps"]
    assert vdmbench("run", str(folder / "s.yaml"), *ONE, f"sweep.sample.steps=[{steps}]", "--results", str(tmp_path)).code == 3
    alone = by_steps(tmp_path)[steps]
    assert alone.identity == took.identity
    assert alone.training.measured_in is None
    assert clips_of(tmp_path, alone) == clips_of(folder / "r", took)
    assert alone.metrics == took.metrics


def test_what_is_gone_damaged_or_of_other_hardware_is_trained_again(swept, vdmbench, tmp_path):
    folder, _ = swept
    results = ResultsFolder(tmp_path / "r")
    shutil.copytree(folder / "r", results.path)
    found = by_steps(results.path)
    trained = next(each for each in found.values() if not each.training.of_another_cell)
    took = next(each for each in found.values() if each.training.of_another_cell)
    (note,) = (results.path / "trained").iterdir()
    key = note.stem
    assert find_trained(results, key, but=took.identity)[1] == trained
    assert find_trained(results, key, but=trained.identity) is None
    for checkpoint in results.checkpoint_folder(trained.identity).iterdir():
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    shutil.rmtree(results.cell_folder(took.identity))
    assert vdmbench("run", str(folder / "s.yaml"), *ONE, "--results", str(results.path)).code == 3
    again = by_steps(results.path)[took.point["sample.steps"]]
    assert (again.training.first_step, again.training.measured_in) == (0, None)
    assert clips_of(results.path, again) == clips_of(folder / "r", took)
    note.write_text(json.dumps({"cell": trained.identity, "attempt": "another"}))
    assert find_trained(results, key, but=took.identity) is None
    note.write_bytes(b"\xff")
    assert find_trained(results, key, but=took.identity) is None
