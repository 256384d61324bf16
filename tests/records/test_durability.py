"""What is written outlives a loss of power: bytes are on disk before their name is, and the name before the call returns."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import vdmbench
from tests.records.test_store import record
from vdmbench.metrics.durable import save_tensors
from vdmbench.records import ResultsFolder, merge_results, write_atomically
from vdmbench.records.events import EventLog
from vdmbench.whole_file import put_in_place, write_json


class Disk:
    """Which contents and names would be there after a loss of power now, as POSIX promises and no more."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.flushed: dict[int, int] = {}
        """Bytes of each inode at its last fsync."""
        self.names: dict[int, set[str]] = {}
        """Of each folder at its last fsync."""
        self.early: list[str] = []
        """Names that were given to bytes before these were on the disk."""
        sync, replace, link, rename = os.fsync, os.replace, os.link, os.rename

        def fsync(descriptor: int) -> None:
            sync(descriptor)
            at = os.fstat(descriptor)
            self.flushed[at.st_ino] = at.st_size
            if stat.S_ISDIR(at.st_mode):
                self.names[at.st_ino] = set(os.listdir(descriptor))

        def naming(function: Callable[..., None]) -> Callable[..., None]:
            def name(source, target, **options) -> None:
                if not self.holds(Path(source)):
                    self.early.append(Path(target).name)
                function(source, target, **options)

            return name

        patch.setattr(os, "fsync", fsync)
        for label, function in (("replace", replace), ("link", link), ("rename", rename)):
            patch.setattr(os, label, naming(function))

    def holds(self, path: Path) -> bool:
        """Whether the bytes are on the disk; of a folder, the names in it and the bytes of each."""
        there = path.stat()
        if path.is_dir():
            return self.names.get(there.st_ino) == set(os.listdir(path)) and all(map(self.holds, path.iterdir()))
        return self.flushed.get(there.st_ino) == there.st_size

    def names_of(self, folder: Path) -> set[str]:
        return self.names.get(folder.stat().st_ino, set())


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def _finished(path: Path) -> Path:
    path.write_bytes(b"content")
    return path


WRITERS = {
    "new": lambda path: write_atomically(path, b"content", exclusive=True),
    "replaced": lambda path: write_atomically(path, b"content"),
    "json": lambda path: write_json(path, {"content": 1}),
    "tensors": lambda path: save_tensors({"weights": torch.ones(3)}, path),
    "finished": lambda path: put_in_place(_finished(path.with_name("part")), path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_the_call_ends(disk, tmp_path, write) -> None:
    write(tmp_path / "file")
    assert disk.early == []
    assert disk.holds(tmp_path / "file")
    assert "file" in disk.names_of(tmp_path)


def test_names_are_given_in_one_place() -> None:
    package = Path(vdmbench.__file__).parent
    given = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"\bos\.(replace|rename|link)\(", file.read_text())
    }
    assert given == {
        "whole_file.py",
        "records/merging.py",  # a folder, all of it on disk before: see below
        "file_lock.py",  # a lock that is taken from a dead holder: nothing in it is kept
    }


def test_an_attempt_and_its_record_are_on_the_disk(disk, tmp_path) -> None:
    results = ResultsFolder(tmp_path / "results")
    results.prepare()
    folder = results.new_attempt(record())
    assert folder.path.name in disk.names_of(folder.path.parent)
    assert folder.started.name in disk.names_of(folder.path)
    results.finish(folder, record(status="ok"))
    assert folder.record.name in disk.names_of(folder.path)
    assert disk.early == []
    assert disk.holds(folder.started)
    assert disk.holds(folder.record)


def test_a_merged_attempt_is_on_the_disk_before_its_name(disk, tmp_path) -> None:
    one, other = (ResultsFolder(tmp_path / name) for name in ("one", "other"))
    for results in (one, other):
        results.prepare()
    folder = one.new_attempt(record())
    (folder.path / "plots").mkdir()
    (folder.path / "plots" / "curve.txt").write_text("1 2 3")
    one.finish(folder, record(status="ok"))
    disk.flushed.clear()
    disk.names.clear()
    merge_results([one], other)
    copied = other.folder_of(record()).path
    assert disk.early == []
    assert disk.holds(copied)
    assert copied.name in disk.names_of(copied.parent)


def test_an_event_is_on_the_disk_when_it_is_said_to_be(disk, tmp_path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"type": "progress"})
    assert not disk.holds(tmp_path / "events.jsonl"), "which would cost each step a wait"
    log.append({"type": "progress"}, durable=True)
    assert disk.holds(tmp_path / "events.jsonl")
    log.close()
