"""What is remembered of a results folder: faster to look at, and never believed in place of a record."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from tests.records.attempts import record, results_with
from vdmbench.records import ResultsFolder, remembered, store
from vdmbench.records.remembered import Remembered


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Few records, and young ones, are worth remembering here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_WORTH_KEEPING", 1)
    monkeypatch.setattr(remembered, "SETTLED", 0)


@pytest.fixture
def folder(tmp_path):
    return results_with(tmp_path / "r", record("a"), record("b", status="oom", message="out of it"))


@pytest.fixture
def read(monkeypatch):
    """Names of the files of records that are read."""
    names = []
    parse = store.parse_record
    monkeypatch.setattr(store, "parse_record", lambda text, path: names.append(path.parent.name) or parse(text, path))
    return names


def look(path):
    """Statuses, and what could not be used."""
    memory = Remembered(path)
    results = ResultsFolder(path, memory)
    found = {history.latest.variant: (history.latest.status, history.latest.message) for history in results.histories()}
    memory.save()
    return found, list(results.unusable.values())


def memory_of(tmp_path):
    (file,) = (tmp_path / "cache" / "vdmbench" / "surveys").iterdir()
    return file


def test_a_second_look_reads_no_record_again(folder, read):
    first = look(folder.path)
    assert len(read) == 2
    assert look(folder.path) == first == ({"a": ("ok", None), "b": ("oom", "out of it")}, [])
    assert len(read) == 2


def test_a_new_attempt_is_read_and_a_lost_one_forgotten(folder, read):
    look(folder.path)
    results_with(folder.path, record("a", ordinal=2, status="nan"))
    for path in (folder.cell_folder(record("b").identity) / "attempts").iterdir():
        (path / "record.json").unlink()
        (path / "started.json").unlink(missing_ok=True)
    assert look(folder.path) == ({"a": ("ok", None)}, [])
    assert len(read) == 3


@pytest.mark.fault
def test_a_record_changed_by_hand_is_named_though_it_was_remembered(folder):
    look(folder.path)
    (file,) = folder.cell_folder(record("b").identity).rglob("record.json")
    times = file.stat()
    file.write_text(file.read_text().replace('"oom"', '"nan"'))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as whoever hides a change would
    for _ in range(2):
        found, unusable = look(folder.path)
        assert found == {"a": ("ok", None)}
        assert "changed after it was written" in unusable[0]


def test_a_record_moved_into_another_cell_is_named_though_it_was_remembered(folder):
    look(folder.path)
    (attempt,) = (folder.cell_folder(record("a").identity) / "attempts").iterdir()
    other = folder.cell_folder(record("b").identity) / "attempts" / "0007-aaaa"
    attempt.rename(other)
    found, unusable = look(folder.path)
    assert found == {"b": ("oom", "out of it")}
    assert "in the folder of another" in unusable[0]


def _forged(kept):
    records, declared = json.loads(kept)
    for seen in records.values():
        seen[1]["status"] = "ok"
    return json.dumps([records, declared]).encode()


@pytest.mark.fault
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.partition(b"\n")[0] + b"\n" + _forged(content.partition(b"\n")[2]),
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda _: hashlib.sha256(b"[1, 2]").hexdigest().encode() + b"\n[1, 2]",
        lambda _: hashlib.sha256(b"7").hexdigest().encode() + b"\n7",
    ],
    ids=["forged", "torn", "empty", "of other kinds", "a number"],
)
def test_a_memory_that_is_not_as_it_was_written_is_none(folder, tmp_path, read, damage):
    expected = look(folder.path)
    file = memory_of(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert look(folder.path) == expected
    assert len(read) == 4


@pytest.mark.fault
def test_without_a_cache_folder_every_look_reads(folder, monkeypatch, tmp_path, read):
    (tmp_path / "blocked").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    assert look(folder.path) == look(folder.path)
    assert len(read) == 4
