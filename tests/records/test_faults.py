"""What a kill leaves of files that were being written, and of locks that were being held."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.records.attempts import record, results_with
from vdmbench.file_lock import try_lock
from vdmbench.records import EventLog, ProcessIdentity, ResultsFolder, merge_results, write_atomically

WRITE_FOR_EVER = """
import itertools, json, sys
from pathlib import Path
from vdmbench.records import write_atomically
for number in itertools.count():
    write_atomically(Path(sys.argv[1]), json.dumps([number] * 200_000).encode())
    if number == 0:
        print("written", flush=True)
"""
HOLD = """
import sys, time
from pathlib import Path
from vdmbench.file_lock import try_lock
with try_lock(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


def begun(code, path):
    """A process that has said its first line."""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline().strip()
    return process, said


@pytest.mark.fault
def test_a_kill_in_the_middle_of_a_write_leaves_a_whole_file(tmp_path):
    target = tmp_path / "record.json"
    for delay in (0.0, 0.013, 0.029):
        process, _ = begun(WRITE_FOR_EVER, target)
        with process:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        assert len(set(json.loads(target.read_bytes()))) == 1


@pytest.mark.fault
def test_what_a_killed_write_leaves_is_not_read(tmp_path):
    results = results_with(tmp_path / "r", record())
    (attempt,) = results.attempt_folders(record().identity)
    for folder in (attempt.path, results.path):
        (folder / ".tmp-record.json-0123").write_bytes(b'{"record_schema')
    assert [each.status for each in ResultsFolder(tmp_path / "r").records()] == ["ok"]


@pytest.mark.fault
def test_the_lock_of_a_killed_supervisor_is_free(tmp_path):
    lock = tmp_path / "cell" / "lock"
    process, mine = begun(HOLD, lock)
    with process:
        assert mine == "True"
        with try_lock(lock) as second:
            assert not second
        process.kill()
    assert lock.exists()
    with try_lock(lock) as after:
        assert after


@pytest.mark.fault
def test_a_folder_killed_at_birth_keeps_its_number_and_counts_for_nothing(tmp_path):
    results = results_with(tmp_path / "r", record(ordinal=1, status="started", by=ProcessIdentity.current()))
    identity = record().identity
    (results.cell_folder(identity) / "attempts" / "0002-deadbeef").mkdir()
    assert [each.status for each in results.history(identity).attempts] == ["started"]
    assert results.next_ordinal(identity) == 3


def failing(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.fault
def test_a_device_that_fails_is_an_error_that_names_the_file_and_leaves_no_half_of_it(tmp_path, monkeypatch):
    (tmp_path / "record.json").write_bytes(b"the old one")
    log = EventLog(tmp_path / "events.jsonl")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=r"Input/output error: .*record\.json"):
        write_atomically(tmp_path / "record.json", b"the new one")
    with pytest.raises(OSError, match=r"Input/output error: .*events\.jsonl"):
        log.append({"type": "checkpoint", "step": 1}, durable=True)
    log.close()
    assert (tmp_path / "record.json").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "record.json"]


@pytest.mark.fault
def test_a_merge_that_cannot_be_written_names_the_file_and_copies_no_half(tmp_path, monkeypatch):
    source = results_with(tmp_path / "a", record())
    target = ResultsFolder(tmp_path / "b")
    target.prepare()
    monkeypatch.setattr(os, "fsync", failing)
    monkeypatch.setattr(ResultsFolder, "prepare", lambda self: None)
    with pytest.raises(OSError, match=r"Input/output error: .*b/\.merging-"):
        merge_results([source], target)
    assert list(target.histories()) == []
    assert [path.name for path in target.path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.fault
def test_results_that_may_only_be_read_are_read(tmp_path, monkeypatch):
    """As from another user, or a file system that is mounted so: nothing is written, not even in passing."""
    results = results_with(tmp_path / "r", record(), record("w", status="started"))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    reading = os.open

    def only_reading(path, flags, *rest, **options):
        return reading(path, flags, *rest, **options) if flags & os.O_ACCMODE == os.O_RDONLY else refuse()

    for name in ("mkdir", "replace", "rename", "link", "unlink", "utime", "chmod", "fsync"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(os, "open", only_reading)
    again = ResultsFolder(results.path)
    assert sorted(each.status for each in again.records()) == ["interrupted", "ok"]
    assert again.salt == results.salt
