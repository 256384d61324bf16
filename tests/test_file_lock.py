"""One holder at a time, also on a file system without locks of its own."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from vdmbench import file_lock
from vdmbench.file_lock import SILENT_SECONDS, lock, try_lock
from vdmbench.process_identity import ProcessIdentity

WITHOUT_FLOCK = """
import errno, fcntl, os, sys, time
from pathlib import Path
from vdmbench.file_lock import lock, try_lock
def flock(descriptor, operation):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = flock
"""
HOLD = f"""{WITHOUT_FLOCK}
with try_lock(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""
COUNT = f"""{WITHOUT_FLOCK}
counter = Path(sys.argv[1]).with_name("counter")
for _ in range(5):
    with lock(Path(sys.argv[1])):
        seen = int(counter.read_text())
        time.sleep(0.01)
        counter.write_text(str(seen + 1))
"""


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def no_flock(request, monkeypatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    file_lock._say_once.cache_clear()


@pytest.fixture
def begin():
    with ExitStack() as running:

        def process(code: str, path: Path) -> subprocess.Popen[str]:
            begun = subprocess.Popen(
                [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            running.enter_context(begun)
            running.callback(begun.kill)
            return begun

        yield process


def claim_of(lock: Path, who: ProcessIdentity, *, touched: float) -> Path:
    """As another process would have left it, so many seconds from now."""
    claim = lock.with_name("lock.claim")
    claim.write_text(json.dumps({"token": "theirs", "salt": "s", **asdict(who)}))
    os.utime(claim, (time.time() + touched,) * 2)
    return claim


@pytest.mark.fault
def test_without_flock_a_claim_stands_in_and_that_is_said_once(no_flock, tmp_path, caplog):
    with caplog.at_level(logging.WARNING), try_lock(tmp_path / "lock") as first:
        assert first
        with try_lock(tmp_path / "lock") as second:
            assert not second
        with try_lock(tmp_path / "other") as other:
            assert other
    with try_lock(tmp_path / "lock") as again:
        assert again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "other"], "nothing of it is left"
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["this file system has no flock"]


@pytest.mark.fault
def test_the_claim_of_a_killed_process_is_free_at_once(no_flock, tmp_path, begin):
    holder = begin(HOLD, tmp_path / "lock")
    assert holder.stdout.readline() == "True\n"
    with try_lock(tmp_path / "lock") as mine:
        assert not mine
    holder.kill()
    holder.wait()
    assert (tmp_path / "lock.claim").exists()
    with try_lock(tmp_path / "lock") as mine:
        assert mine


@pytest.mark.fault
@pytest.mark.parametrize(
    ("touched", "free"),
    [(0, False), (-SILENT_SECONDS / 2, False), (SILENT_SECONDS / 2, False), (-2 * SILENT_SECONDS, True), (1e8, True)],
    ids=["now", "a while ago", "soon", "long ago", "in a far future"],
)
def test_a_claim_from_another_host_is_held_while_it_is_touched(no_flock, tmp_path, touched, free):
    me = ProcessIdentity.current()
    claim_of(tmp_path / "lock", ProcessIdentity("elsewhere", me.boot_id, me.pid, me.process_started), touched=touched)
    with try_lock(tmp_path / "lock") as mine:
        assert mine is free


@pytest.mark.fault
def test_a_living_process_keeps_its_claim_however_long_it_is_silent(no_flock, tmp_path):
    claim_of(tmp_path / "lock", ProcessIdentity.current(), touched=-100 * SILENT_SECONDS)
    with try_lock(tmp_path / "lock") as mine:
        assert not mine


@pytest.mark.fault
@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1, "pid": "x"}', '{"host": null, "boot_id": [], "salt": {}}'])
def test_a_claim_that_says_nothing_is_free_once_it_is_old(no_flock, tmp_path, content):
    claim = tmp_path / "lock.claim"
    claim.write_text(content)
    with try_lock(tmp_path / "lock") as mine:
        assert not mine
    os.utime(claim, (0, 0))
    with try_lock(tmp_path / "lock") as mine:
        assert mine


@pytest.mark.fault
def test_a_claim_is_touched_while_it_is_held(no_flock, tmp_path, monkeypatch):
    monkeypatch.setattr(file_lock, "BEAT_SECONDS", 0.01)
    with try_lock(tmp_path / "lock"):
        claim = tmp_path / "lock.claim"
        os.utime(claim, (0, 0))
        deadline = time.monotonic() + 20
        while claim.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - claim.stat().st_mtime < 60


@pytest.mark.fault
def test_a_lost_claim_is_told_and_that_of_another_is_left(no_flock, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(file_lock, "BEAT_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING), try_lock(tmp_path / "lock"):
        claim = claim_of(tmp_path / "lock", ProcessIdentity.current(), touched=0)
        deadline = time.monotonic() + 20
        while "was taken over" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "was taken over by another process" in caplog.text
    assert json.loads(claim.read_text())["token"] == "theirs"


@pytest.mark.fault
def test_processes_that_break_one_void_claim_take_turns(tmp_path, begin):
    (tmp_path / "counter").write_text("0")
    claim_of(tmp_path / "lock", ProcessIdentity("elsewhere", "b", 1, 0.0), touched=-1e8)
    for process in [begin(COUNT, tmp_path / "lock") for _ in range(4)]:
        assert process.wait(120) == 0
    assert (tmp_path / "counter").read_text() == "20"


def test_waiting_for_a_lock_ends_when_it_is_free(tmp_path):
    with lock(tmp_path / "lock"), try_lock(tmp_path / "lock") as mine:
        assert not mine
    with lock(tmp_path / "lock"), try_lock(tmp_path / "lock") as mine:
        assert not mine


def test_a_fault_of_the_file_system_is_no_want_of_locks(tmp_path, monkeypatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), try_lock(tmp_path / "lock"):
        pass


def test_folders_above_are_not_made(tmp_path):
    with pytest.raises(FileNotFoundError), try_lock(tmp_path / "gone" / "cell" / "lock"):
        pass
    assert not (tmp_path / "gone").exists()
