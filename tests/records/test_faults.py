"""What a kill leaves of files that were being written, and of locks that were being held."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.records.attempts import record, results_with
from vdmbench.file_lock import try_lock
from vdmbench.records import ProcessIdentity, ResultsFolder

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
