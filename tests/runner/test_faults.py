"""Every cell of a suite meets a fault of its own; the same command, again, ends with the numbers of an undisturbed run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.episodes import UNDISTURBED, Episode, gone, play
from tests.faults.table import AILMENTS, FAULTS, KILLS, STEPS, markdown

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    return play(tmp_path_factory.mktemp("killed"), KILLS)


@pytest.fixture(scope="module")
def ailing(tmp_path_factory):
    return play(tmp_path_factory.mktemp("ailing"), AILMENTS, "run.wall_limit=45")


def named(faults, fixture, **options):
    return [pytest.param(fixture, fault, id=fault.key, **options) for fault in faults]


@pytest.mark.parametrize(("episode", "fault"), [*named(KILLS, "killed"), *named(AILMENTS, "ailing", marks=pytest.mark.slow)])
def test_a_struck_cell_loses_nothing_that_was_finished(episode, fault, request):
    """One struck attempt with its cause, one that is ok, and nothing else; no orphan; the undisturbed cell's numbers."""
    episode = request.getfixturevalue(episode)
    struck, after = episode.history(fault.key).attempts
    assert (struck.status, struck.phase) == (fault.status, fault.ended_in)
    assert fault.message in (struck.message or "")
    assert (after.status, after.attempt.ordinal) == ("ok", 2)
    assert (after.training.first_step, after.training.steps) == (fault.resumed_at, STEPS)
    if fault.resumed_at == STEPS:  # the peak of no step is no training's
        assert after.training.measured_in == struck.attempt.id
        assert after.training.step_seconds is not None
        assert after.phases["train"].rss_peak_bytes > after.phases["build"].rss_peak_bytes
    assert gone(episode.struck_by(fault)), "an orphan"
    assert episode.numbers(after) == episode.numbers(episode.history(UNDISTURBED).latest)


@pytest.mark.parametrize(
    ("episode", "faults"),
    [("killed", KILLS), pytest.param("ailing", AILMENTS, marks=pytest.mark.slow)],
    ids=["kills", "ailments"],
)
def test_a_struck_run_says_how_it_ended_and_leaves_each_cell_once(episode, faults, request):
    """A fault of the supervisor ends the command with its own code; those of workers are told together, by one 1."""
    episode = request.getfixturevalue(episode)
    ending = [fault.exit_code for fault in faults if fault.exit_code != 1]
    failing = [1] if any(fault.exit_code == 1 for fault in faults) else []
    assert episode.exit_codes == [*ending, *failing, 0], "\n".join(episode.said)
    assert [each.status for each in episode.history(UNDISTURBED).attempts] == ["ok"]
    histories = list(episode.results.histories())
    assert len(histories) == len(faults) + 1
    assert all([each.status for each in history.attempts].count("ok") == 1 for history in histories)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff garbage", b'{"record_schema": 1, "identi'], ids=["empty", "garbage", "truncated"]
)
def test_a_destroyed_record_is_named_and_its_cell_made_again(killed, content):
    """Once, with the last of them: what it costs is the sampling of one cell."""
    again = Episode(killed.folder)
    undisturbed = again.history(UNDISTURBED).latest
    record = again.results.folder_of(undisturbed).record
    whole, numbers = record.read_bytes(), again.numbers(undisturbed)
    record.write_bytes(content)
    if content.startswith(b"{"):
        assert again.run() == 0, again.said[-1]
        assert f"note: {record.relative_to(killed.folder)}: not JSON" in again.said[-1]
        after = again.history(UNDISTURBED)
        assert [each.status for each in after.attempts] == ["ok"]
        assert after.latest.training.first_step == STEPS, "trained weights were there still"
        assert again.numbers(after.latest) == numbers
    else:
        assert again.results.history(undisturbed.identity) is None
        record.write_bytes(whole)


def test_lost_samples_cost_their_picture_and_no_number(killed):
    from vdmbench.report.results import read_results

    lost = Episode(killed.folder).history(KILLS[-1].key).latest
    samples = killed.results.folder_of(lost).path / lost.artifacts["samples"]
    kept = samples.read_bytes()
    samples.unlink()
    again = Episode(killed.folder)
    assert again.run() == 0, "nothing is run again for it"
    cells = {cell.record.variant: cell for cell in read_results([killed.folder / "r"])}
    assert cells[lost.variant].artifact("samples.npz") is None
    assert cells[lost.variant].record == lost
    assert sum(cell.artifact("samples.npz") is not None for cell in cells.values()) == len(cells) - 1
    samples.write_bytes(kept)


@pytest.mark.slow
def test_two_supervisors_run_each_cell_once(tmp_path):
    episode = play(tmp_path, [])
    text = (tmp_path / "suite.yaml").read_text() + "seeds: [1, 2, 3]\n"
    (tmp_path / "suite.yaml").write_text(text)
    both = [episode.begin("--json", stdout=subprocess.PIPE) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=600)[0]) for process in both]
    assert sum(each["ran"] for each in told) == 3
    assert {process.returncode for process in both} <= {0, 3}
    histories = [history for history in episode.results.histories() if history.latest.seed > 0]
    assert [[each.status for each in history.attempts] for history in histories] == [["ok"]] * 3


def test_the_documentation_lists_each_fault_and_each_is_tested():
    text = (ROOT / "docs" / "running.md").read_text()
    assert markdown() in text, "run: python -m tests.faults.table, and put its output under 'Faults that are tested'"
    assert len({fault.key for fault in FAULTS}) == len(FAULTS) >= 25
    for fault in FAULTS:
        file, _, test = fault.test.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), fault.test
