"""The index of statuses saves reading records, and never says other than they do."""

from __future__ import annotations

import os

import pytest

from tests.records.attempts import record, results_with
from vdmbench.records import ResultsError
from vdmbench.records.index import INDEX_FILE, StatusIndex


@pytest.fixture
def results(tmp_path):
    return results_with(tmp_path, record("a", status="error"), record("a", 2), record("b", status="oom"))


def statuses(results, *names):
    index = StatusIndex(results)
    found = [index.status(record(name).identity) for name in names]
    index.save()
    return found


def test_it_says_what_the_records_say_now_and_from_the_file(results):
    for _ in range(2):
        assert statuses(results, "a", "b", "c") == ["ok", "oom", None]
    assert (results.path / INDEX_FILE).exists()


def test_a_known_record_is_not_read_again_and_a_changed_one_is(results):
    statuses(results, "b")
    (folder,) = results.attempt_folders(record("b").identity)
    kept, told = folder.record.read_bytes(), folder.record.stat()
    folder.record.write_bytes(b"x" * len(kept))
    os.utime(folder.record, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert statuses(results, "b") == ["oom"]
    os.utime(folder.record, ns=(told.st_atime_ns, told.st_mtime_ns + 1))
    with pytest.raises(ResultsError, match="not JSON"):
        statuses(results, "b")


def test_another_attempt_is_seen_and_one_without_a_record_is_asked_for_every_time(results):
    statuses(results, "b")
    unfinished = results.new_attempt(record("b", 2, status="started"))
    assert statuses(results, "b") == ["started"], "on another host, where it cannot be seen whether it lives"
    results.finish(unfinished, record("b", 2))
    assert statuses(results, "b") == ["ok"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 0, "cells": {}}', b'{"version": 1, "cells": {"x": 3}}'])
def test_a_damaged_index_is_no_index(results, content):
    (results.path / INDEX_FILE).write_bytes(content)
    assert statuses(results, "a", "b") == ["ok", "oom"]
    assert statuses(results, "a", "b") == ["ok", "oom"]
