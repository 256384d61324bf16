"""How far a suite has come, from files alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.records.attempts import record, results_with
from tests.suite.texts import MINIMAL
from vdmbench.records import EventLog, ProcessIdentity, ResultsError, ResultsFolder
from vdmbench.runner import survey as survey_module
from vdmbench.runner.survey import survey
from vdmbench.suite import expand, parse_suite

SUITE, LINES = parse_suite(MINIMAL + "seeds: [0, 1]\n")
CELLS = {cell.label: cell for cell in expand(SUITE, LINES)}
ME = ProcessIdentity.current()


def attempt(label, **fields):
    cell = CELLS[label]
    return record(cell.variant, identity=cell.identity, seed=cell.seed, suite="minimal", **fields)


@pytest.fixture
def results(tmp_path):
    """One cell done (it took 100 s), one failed, one running, one whose supervisor died, two never begun."""
    running = attempt("bi seed=0", status="started", by=ME)
    started = datetime.fromtimestamp(time.time() - 60, UTC).isoformat()
    running = running.model_copy(update={"attempt": running.attempt.model_copy(update={"started": started})})
    folder = results_with(
        tmp_path / "r",
        attempt("floor seed=0"),
        attempt("floor seed=1", status="error", phase="train", message="it broke"),
        running,
        attempt("bi seed=1", status="started", by=ProcessIdentity(ME.host, "an-earlier-boot", 1, 0.0)),
    )
    folder.keep_suite(SUITE.model_dump_json(by_alias=True))
    log = EventLog(folder.folder_of(running).events)
    log.append({"type": "phase_started", "phase": "train"})
    log.append({"type": "progress", "phase": "train", "step": 30, "steps": 100, "loss": 0.25})
    log.close()
    return folder


def test_every_cell_is_in_one_state(results):
    found = survey(results)
    assert {state: found.count(state) for state in ("done", "failed", "running", "left")} == {
        "done": 1, "failed": 1, "running": 1, "left": 3,
    }  # fmt: skip
    assert [cell.label for cell in found.cells] == list(CELLS)
    (running,) = found.running()
    assert (running.progress.phase, running.progress.step, running.progress.loss) == ("train", 30, 0.25)
    assert found.typical_seconds == 100
    now = time.time()
    assert running.seconds_left(100, now) == pytest.approx(40, abs=5)
    assert found.seconds_left(now) == pytest.approx(340, abs=5)


def test_surveying_writes_nothing(results):
    before = {path: path.stat().st_mtime_ns for path in results.path.rglob("*")}
    survey(results)
    assert {path: path.stat().st_mtime_ns for path in results.path.rglob("*")} == before


def test_without_the_suite_only_what_was_begun_is_known_and_that_is_said(results):
    (results.path / "suite.json").unlink()
    found = survey(results)
    assert len(found.cells) == 4
    assert "never begun are not listed" in found.note


@pytest.mark.fault
def test_an_event_that_is_being_written_is_not_read_yet(results):
    (running,) = survey(results).running()
    with results.folder_of(running.record).events.open("ab") as log:
        log.write(b'{"type": "progress", "ph')
    assert survey(results).running()[0].progress.step == 30


@pytest.mark.fault
def test_a_clock_that_was_set_back_makes_no_cell_faster(results):
    done = attempt("uni seed=0", ordinal=1)
    backwards = done.attempt.model_copy(update={"ended": "2025-12-31T00:00:00+00:00"})
    folder = results.new_attempt(done.model_copy(update={"status": "started"}))
    results.finish(folder, done.model_copy(update={"attempt": backwards}))
    assert survey(results).typical_seconds == 100


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="no results there"):
        survey(ResultsFolder(tmp_path))


def test_the_time_of_every_cell_is_read_once_however_many_ask(results, monkeypatch):
    """``vdmbench status`` asks for each cell: ten thousand cells took minutes when each answer read them all."""
    found, read = survey(results), []
    seconds = survey_module.seconds_taken
    monkeypatch.setattr(survey_module, "seconds_taken", lambda record: read.append(record.identity) or seconds(record))
    assert [found.typical_seconds for _ in found.cells] == [100] * len(found.cells)
    assert len(read) == 1


def test_of_every_record_it_keeps_only_what_it_tells(results):
    """A thousand metrics and packages a record are read, checked against their digest, and let go."""
    told = [cell.record for cell in survey(results).cells if cell.record is not None]
    assert len(told) == 4
    for brief in told:
        assert len(brief.model_dump_json(exclude_defaults=True)) < 1000
        assert (brief.environment, brief.metrics, brief.declared) == ({}, {}, {})


def test_of_a_suite_that_changed_every_cell_is_told_beside_the_nearest(results):
    """Whatever their number: the nearest is looked up, and not searched for among all."""
    changed, _ = parse_suite(MINIMAL.replace("train: {steps: 2,", "train: {steps: 3,") + "seeds: [0, 1]\n")
    results.keep_suite(changed.model_dump_json(by_alias=True))
    (labels,) = survey(results).others.values()
    assert labels == ["bi seed=0", "bi seed=1", "floor seed=0", "floor seed=1"]


def test_the_nearest_cell_agrees_in_variant_before_point_before_seed():
    cells = list(CELLS.values())
    nearest = survey_module._Nearest(cells)
    asked = [(variant, point, seed) for variant in ("floor", "bi", "gone") for point in ({}, {"x": 1}) for seed in (0, 1, 7)]
    for variant, point, seed in asked:
        near = nearest.of(record(variant, point=point, seed=seed))
        assert near is max(cells, key=lambda cell: (cell.variant == variant, cell.point == point, cell.seed == seed))


def test_a_second_look_tells_the_same_without_reading_or_expanding_again(results, monkeypatch, tmp_path):
    """Until the suite changes: then its cells are told anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("vdmbench.records.remembered._WORTH_KEEPING", 1)
    monkeypatch.setattr("vdmbench.records.remembered.SETTLED", 0)
    first = survey(results)
    expanded = []
    monkeypatch.setattr("vdmbench.suite.expand", lambda suite, lines: expanded.append(suite) or expand(suite, lines))
    second = survey(ResultsFolder(results.path))
    assert second == first
    assert not expanded
    changed, _ = parse_suite(MINIMAL + "seeds: [0]\n")
    results.keep_suite(changed.model_dump_json(by_alias=True))
    third = survey(ResultsFolder(results.path))
    assert expanded
    assert (len(third.cells), sum(map(len, third.others.values()))) == (3, 2)
