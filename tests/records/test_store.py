"""Records are durable, immutable, and read back with doubt."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.records.attempts import record as cell_record
from vdmbench.file_digests import digest_of
from vdmbench.file_lock import try_lock
from vdmbench.records import (
    Attempt,
    EventTail,
    MetricResult,
    ProcessIdentity,
    Record,
    ResultsError,
    ResultsFolder,
    ResultsGone,
    Training,
    beat,
    parse_record,
    read_events,
    unsigned_note,
    write_atomically,
)


def record(ordinal: int = 1, *, status: str = "started", me: ProcessIdentity | None = None, **fields) -> Record:
    me = me or ProcessIdentity.current()
    attempt = Attempt(
        id=f"a{ordinal}",
        ordinal=ordinal,
        host=me.host,
        boot_id=me.boot_id,
        pid=me.pid,
        process_started=me.process_started,
        started="2026-01-01T00:00:00+00:00",
    )
    return Record(identity="cell", suite="s", variant="v", seed=0, declared={}, attempt=attempt, status=status, **fields)


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.prepare()
    return folder


def test_a_finished_attempt_counts_and_cannot_be_changed(results):
    folder = results.new_attempt(record())
    results.finish(folder, record(status="ok"))
    assert [each.status for each in results.records()] == ["ok"]
    with pytest.raises(FileExistsError):
        results.finish(folder, record(status="error"))
    assert [each.status for each in results.records()] == ["ok"]


def test_an_ok_attempt_counts_over_later_ones(results):
    for ordinal, status in enumerate(["error", "ok", "oom"], start=1):
        results.finish(results.new_attempt(record(ordinal)), record(ordinal, status=status))
    history = results.history("cell")
    assert [each.status for each in history.attempts] == ["error", "ok", "oom"]
    assert history.latest.attempt.ordinal == 2
    assert results.next_ordinal("cell") == 4


def test_an_attempt_is_interrupted_once_its_process_is_dead(results):
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from vdmbench.records import ProcessIdentity as P; import dataclasses, json;"
            "print(json.dumps(dataclasses.asdict(P.current())))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    dead = ProcessIdentity(**json.loads(child.stdout))
    results.new_attempt(record(1, me=dead))
    assert results.history("cell").latest.status == "interrupted"
    results.new_attempt(record(2))
    assert results.history("cell").latest.status == "started"


def test_a_reused_pid_or_a_reboot_does_not_pass_for_the_process():
    me = ProcessIdentity.current()
    assert me.alive() is True
    assert ProcessIdentity(me.host, me.boot_id, me.pid, me.process_started + 1).alive() is False
    assert ProcessIdentity(me.host, "another-boot", me.pid, me.process_started).alive() is False
    assert ProcessIdentity("another-host", me.boot_id, me.pid, me.process_started).alive() is None


ELSEWHERE = ProcessIdentity("another-host", "another-boot", 1, 0.0)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("heard", "status"),
    [(-60, "started"), (60, "started"), (-3600, "interrupted"), (1e9, "interrupted"), (1e300, "interrupted")],
    ids=["a minute ago", "in a minute", "an hour ago", "in a far future", "at no time"],
)
def test_an_attempt_on_another_host_runs_while_something_is_heard_of_it(results, heard, status):
    """A container that is gone took its host name with it; clocks of two hosts need not agree to the second."""
    folder = results.new_attempt(record(me=ELSEWHERE))
    folder.events.write_text(json.dumps({"at": time.time() + heard, "type": "phase_started", "phase": "train"}) + "\n")
    assert results.history("cell").latest.status == status
    with folder.events.open("a") as log:
        log.write('{"torn')
    assert results.history("cell").latest.status == status


@pytest.mark.parametrize(("started", "status"), [(0, "started"), (-3600, "interrupted"), (None, "interrupted")])
def test_an_attempt_that_was_never_heard_of_counts_from_its_start(results, started, status):
    begun = record(me=ELSEWHERE)
    at = "yesterday" if started is None else datetime.fromtimestamp(time.time() + started, UTC).isoformat()
    results.new_attempt(begun.model_copy(update={"attempt": begun.attempt.model_copy(update={"started": at})}))
    assert results.history("cell").latest.status == status


def test_a_heartbeat_is_heard_and_is_no_event(results):
    folder = results.new_attempt(record(me=ELSEWHERE))
    folder.events.write_text('{"at": 1.0, "type": "phase_started", "phase": "train"}\n')
    tail = EventTail(folder.events)
    beat(folder.events)
    assert results.history("cell").latest.status == "started"
    assert [event["type"] for event in read_events(folder.events)] == ["phase_started"]
    assert [event["type"] for event in tail.new()] == ["phase_started"]


def test_a_heartbeat_keeps_away_from_a_line_that_another_process_writes(results):
    folder = results.new_attempt(record(me=ELSEWHERE))
    with pytest.raises(FileNotFoundError):
        beat(folder.events)
    folder.events.write_text('{"at": 1.0, "type": "phase_started", "phase": "train"}\n{"at": 2')
    beat(folder.events)
    assert folder.events.read_text().endswith('\n{"at": 2')


def test_host_and_boot_are_hidden_and_still_tell_one_machine_from_another(results, tmp_path):
    hidden, me = results.this_process(), ProcessIdentity.current()
    assert hidden.alive(results.salt) is True
    assert hidden.host not in (me.host, hidden.boot_id)
    assert me.host not in hidden.host
    assert hidden == results.this_process() == ResultsFolder(results.path).this_process()
    results.new_attempt(record(me=hidden))
    assert results.history("cell").latest.status == "started"
    assert dataclasses.replace(hidden, process_started=0.0).alive(results.salt) is False
    assert dataclasses.replace(hidden, boot_id=ELSEWHERE.boot_id).alive(results.salt) is False
    assert hidden.alive("another salt") is None
    assert hidden.alive() is None
    other = ResultsFolder(tmp_path / "other")
    other.prepare()
    assert other.this_process().host != hidden.host
    assert results.this_process(by_name=True) == me


def test_records_that_name_their_host_are_read_beside_those_that_do_not(results):
    results.new_attempt(record(1, me=ProcessIdentity.current()))
    assert results.history("cell").latest.status == "started"


@pytest.mark.fault
@pytest.mark.parametrize("gone", ["results", "attempt"])
def test_results_that_are_gone_are_not_made_again(results, gone):
    folder = results.new_attempt(record())
    (results.path if gone == "results" else folder.path).rename(results.path.with_name("moved"))
    with pytest.raises(ResultsGone, match="moved"):
        results.finish(folder, record(status="ok"))
    assert not folder.path.exists()
    if gone == "results":
        with pytest.raises(ResultsGone):
            results.new_attempt(record(2))
        with pytest.raises(ResultsGone), results.cell_lock("cell"):
            pass
        assert not results.path.exists()


def test_nan_and_infinity_come_back_as_they_went(results):
    training = Training(steps=3, final_loss=math.nan, loss_steps=[1, 2], loss=[math.inf, -math.inf])
    metric = MetricResult(name="m", value=math.inf, n_real=2, n_generated=2)
    folder = results.new_attempt(record())
    results.finish(folder, record(status="nan", training=training, metrics={"m": metric}))
    back = results.records()[0]
    assert math.isnan(back.training.final_loss)
    assert back.training.loss == [math.inf, -math.inf]
    assert back.metrics["m"].value == math.inf
    json.loads(folder.record.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\x00\xff{", "not JSON"),
        (b'{"record_schema": 1, "identi', "not JSON"),
        (rb'{"record_schema": 1, "message": "\ud800"}', "not JSON"),
        (b"[]", "record schema None"),
        (b'{"record_schema": 99}', "record schema 99, this vdmbench reads 1 and 2"),
        (b'{"record_schema": true}', "record schema True"),
        (b'{"record_schema": 1}', "identity: Field required"),
        (b'{"record_schema": 2, "identity": "x"}', "it has no digest, so it was changed after it was written"),
    ],
)
def test_a_damaged_record_is_named_and_costs_itself_alone(results, content, message):
    folder = results.new_attempt(cell_record())
    folder.record.write_bytes(content)
    results.finish(results.new_attempt(cell_record("other")), cell_record("other"))
    with pytest.raises(ResultsError, match=message):
        parse_record(content, folder.record)
    assert [each.variant for each in results.records()] == ["other"]
    assert list(results.unusable) == [folder.path]
    assert str(folder.record) in results.unusable[folder.path]
    folder.record.unlink()
    assert len(results.records()) == 2, "it is unfinished now"
    assert results.unusable == {}


def test_a_record_that_was_changed_by_hand_does_not_count_and_another_layout_of_the_same_does(results):
    folder = results.new_attempt(cell_record())
    results.finish(folder, cell_record())
    fields = json.loads(folder.record.read_text())
    folder.record.write_text(json.dumps(dict(sorted(fields.items(), reverse=True))))
    assert results.records() == [cell_record().model_copy(update={"record_schema": 2})]
    for field, value in (("status", "oom"), ("digest", "0" * 64), ("seed", 1)):
        folder.record.write_text(json.dumps({**fields, field: value}))
        assert results.records() == []
        assert "its digest is not that of its fields" in results.unusable[folder.path]


def test_a_record_of_the_schema_before_is_read_and_said_to_be_unsigned(results):
    folder = results.new_attempt(cell_record())
    folder.record.write_text(cell_record().model_copy(update={"record_schema": 1}).model_dump_json())
    results.finish(results.new_attempt(cell_record("new")), cell_record("new"))
    assert unsigned_note(results.records()) == [
        "1 of 2 records are unsigned: written before records held a digest, so a change would not be seen"
    ]


def test_a_record_counts_for_its_own_cell_and_attempt_alone(results):
    folder = results.new_attempt(cell_record())
    results.finish(folder, cell_record())
    elsewhere = results.cell_folder("another") / "attempts" / folder.path.name
    shutil.copytree(folder.path, elsewhere)
    renamed = folder.path.with_name("0007-00000000")
    shutil.copytree(folder.path, renamed)
    assert [history.identity for history in results.histories()] == [cell_record().identity]
    assert len(results.history(cell_record().identity).attempts) == 1
    assert f"a record of cell {cell_record().identity}, in the folder of another" in results.unusable[elsewhere]
    assert f"a record of attempt {folder.path.name}, in the folder of another" in results.unusable[renamed]


@pytest.mark.parametrize("wrong", ["../../../secret", "a/b", "..", "", "a b", "x" * 41])
def test_an_attempt_whose_name_leads_elsewhere_is_no_record(results, wrong):
    folder = results.new_attempt(cell_record())
    fields = json.loads(cell_record().model_dump_json())
    fields["attempt"]["id"] = wrong
    folder.record.write_text(json.dumps({**fields, "digest": digest_of(fields)}))
    assert results.records() == []
    assert "attempt.id: String should match pattern" in results.unusable[folder.path]


@pytest.mark.parametrize("stray", [".DS_Store", "0001-abc.bak~", "notes.txt", "x-0001", "0002-cafe"])
def test_what_lies_among_the_attempts_and_is_none_is_passed_over(results, stray):
    results.finish(results.new_attempt(cell_record()), cell_record())
    (results.cell_folder(cell_record().identity) / "attempts" / stray).write_text("x")
    assert len(results.records()) == 1
    assert results.next_ordinal(cell_record().identity) == 2
    assert results.unusable == {}


def test_a_folder_of_no_results_or_of_another_schema_is_refused(tmp_path, results):
    with pytest.raises(ResultsError, match="no results there; run a suite first"):
        ResultsFolder(tmp_path / "nothing").records()
    (results.path / "folder.json").write_text('{"record_schema": 7}')
    for use in (results.prepare, results.records):
        with pytest.raises(ResultsError, match="record schema 7, this vdmbench writes 2; choose another folder"):
            use()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsError, match=r"cannot be written .* choose another folder with --results"):
        ResultsFolder(tmp_path / "file" / "results").prepare()


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    target = tmp_path / "target.json"
    write_atomically(target, b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from vdmbench.records import write_atomically;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "write_atomically(Path(sys.argv[1]), b'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["target.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_only_one_holds_a_lock(tmp_path):
    path = tmp_path / "cells" / "lock"
    with try_lock(path) as first, try_lock(path) as second:
        assert (first, second) == (True, False)
    with try_lock(path) as again:
        assert again
