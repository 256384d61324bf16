"""A cell that is preempted, moved, resumed, looked at and repeated: one story, told through the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder
from vdmbench.runner.disk import cell_bytes
from vdmbench.runner.survey import survey
from vdmbench.suite import NUMBERS, CellInputs

OPTIONS = ["train.steps=40", "run.device=cpu", "--only", "floor"]


@pytest.fixture(scope="module")
def preempted(tmp_path_factory):
    """A run that got SIGTERM in the middle of training; what it said, and how it looked to others while it ran."""
    folder = tmp_path_factory.mktemp("preempted")
    (folder / "s.yaml").write_text(MINIMAL)
    process = subprocess.Popen(
        [sys.executable, "-c", "from vdmbench.cli.app import main; main()", "run", "s.yaml", "--results", "r", *OPTIONS],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while True:
        assert process.poll() is None and time.monotonic() < deadline, "training did not begin"  # noqa: PT018
        time.sleep(0.05)
        if not (folder / "r" / "suite.json").exists():
            continue
        seen = survey(ResultsFolder(folder / "r"))
        running = seen.running()
        if running and running[0].progress.phase == "train" and (running[0].progress.step or 0) >= 2:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    return folder, process.returncode, err, seen


@pytest.fixture(scope="module")
def resumed(preempted, tmp_path_factory):
    """The same command after the results were moved elsewhere."""
    folder, *_ = preempted
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    (folder / "r").rename(moved)
    command = [sys.executable, "-c", "from vdmbench.cli.app import main; main()", "run", "s.yaml", "--results", str(moved)]
    done = subprocess.run([*command, *OPTIONS, "--json"], cwd=folder, capture_output=True, text=True, check=False)
    return moved, done


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_preemption_loses_no_step(preempted):
    folder, code, err, seen = preempted
    assert code == 143, err
    assert "told to end (SIGTERM); the same command goes on where it stopped" in err
    assert {state: seen.count(state) for state in ("done", "running", "left")} == {"done": 0, "running": 1, "left": 2}
    (history,) = ResultsFolder(folder / "r").histories()
    assert (history.latest.status, history.latest.phase) == ("interrupted", "train")
    assert "told to end (SIGTERM)" in history.latest.message
    (kept,) = ResultsFolder(folder / "r").checkpoint_folder(history.identity).iterdir()
    assert 2 <= int(kept.stem.partition("-")[2]) < 40, "no multiple of run.checkpoint_every: it was taken at SIGTERM"


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_moved_results_go_on_from_there(resumed):
    moved, done = resumed
    assert done.returncode == 3, done.stderr
    assert len(json.loads(done.stdout)["left"]) == 2
    (history,) = ResultsFolder(moved).histories()
    assert [each.status for each in history.attempts] == ["interrupted", "ok"]
    assert 2 <= history.latest.training.first_step < 40
    left = sum(path.stat().st_size for path in ResultsFolder(moved).cell_folder(history.identity).rglob("*") if path.is_file())
    promised = cell_bytes(CellInputs.model_validate(history.latest.declared), history.latest.solved)
    assert left <= promised, "the estimate of the disk's preflight is too low"


@pytest.mark.timeout(600)
def test_a_cell_is_looked_at_by_name(resumed, vdmbench):
    moved, _ = resumed
    status = json.loads(vdmbench("status", moved, "--json").out)
    assert status["counts"] == {"done": 1, "failed": 0, "running": 0, "left": 2}
    assert status["seconds_left"] > 0
    assert "minimal: 3 cells, 1 done, 0 failed, 0 running, 2 left" in vdmbench("status", moved).out

    shown = vdmbench("show", "floor", "--results", moved).out
    assert "interrupted" in shown
    assert "goes on from the checkpoint of step" in shown
    assert "final loss" in shown
    record = json.loads(vdmbench("show", "floor", "--results", moved, "--json").out)
    assert record["status"] == "ok"

    followed = vdmbench("tail", record["identity"][:6], "--results", moved)
    assert followed.code == 0
    assert followed.out.endswith("ended: ok\n")

    card = vdmbench("show", "floor", "--results", moved, "--card").out
    assert f"vdmbench rerun {record['identity']} --results {moved.name}\n" in card, "and not where on this disk that is"
    for told in (
        "## Declared",
        "## Solved",
        "packages.torch",
        "## Kernels",
        record["data"]["train"],
        "| ste-fd |",
        record["cohort"],
    ):
        assert told in card, told


@pytest.mark.timeout(600)
def test_a_rerun_gives_the_same_bits_and_the_gate_agrees(resumed, vdmbench, tmp_path):
    moved, _ = resumed
    outcome = vdmbench("rerun", "floor", "--results", moved, "--portable", "--json")
    assert outcome.code == 0, outcome.err
    judged = json.loads(outcome.out)
    assert (judged["exit_code"], judged["cells"]) == (0, 1)
    (again,) = (moved / "reruns").iterdir()
    (first,), (second,) = ResultsFolder(moved).records(), ResultsFolder(again).records()
    assert first.identity == second.identity
    assert first.training.loss == second.training.loss, "one was cut short and resumed, the other was not"
    assert first.metrics["ste-fd"].value == second.metrics["ste-fd"].value
    assert second.training.first_step == 0

    refused = vdmbench("rerun", "floor", "--results", moved, "--into", again)
    assert (refused.code, "exists; a rerun begins with nothing" in refused.err) == (2, True)


def test_names_that_no_cell_or_several_answer_to_get_the_candidates(vdmbench, tmp_path):
    from tests.records.attempts import record, results_with

    results_with(tmp_path / "r", record("uni", seed=0), record("uni-2", seed=0), record("uni", 2, identity="f" * 20, seed=1))
    two = vdmbench("show", "uni", "--results", tmp_path)
    assert (two.code, two.out) == (2, "")
    assert two.err.startswith("error: uni: 2 cells answer to it, name one: uni seed=")
    assert vdmbench("show", "uni seed=1", "--results", tmp_path, "--json").code == 0
    none = vdmbench("tail", "uno", "--results", tmp_path / "r")
    assert none.err.startswith("error: uno: no cell in")
    assert "there are: uni" in none.err
    assert "no results there" in vdmbench("status", tmp_path / "nowhere").err


def test_a_rerun_needs_the_declaration_that_the_record_was_made_from(vdmbench, tmp_path):
    from tests.records.attempts import record, results_with

    results_with(tmp_path / "r", record("uni", declared={"numbers": NUMBERS}), record("old"))
    outcome = vdmbench("rerun", "uni", "--results", tmp_path / "r")
    assert outcome.code == 2
    assert "declares other fields than the one that wrote the record" in outcome.err
    outcome = vdmbench("rerun", "old", "--results", tmp_path / "r")
    assert (outcome.code, f"numbers version 1 and this vdmbench makes version {NUMBERS}" in outcome.err) == (2, True)


def test_a_selection_that_means_nothing_is_refused(vdmbench, suite):
    outcome = vdmbench("run", suite, "--only", "flor")
    assert (outcome.code, outcome.err) == (2, "error: --only flor: no cell answers to it; did you mean 'floor'?\n")


def test_merging_says_what_it_did(vdmbench, tmp_path):
    from tests.records.attempts import record, results_with

    for name in "ab":
        results_with(tmp_path / name, record("x"), record(f"only-{name}"))
    merge = ("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "c")
    first, second = vdmbench(*merge), vdmbench(*merge)
    assert (first.code, first.err) == (0, "3 attempts copied, 0 there already, 0 not finished\n")
    assert (second.code, second.err) == (0, "0 attempts copied, 3 there already, 0 not finished\n")
    assert len(first.out.splitlines()) == 3
