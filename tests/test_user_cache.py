"""Caches on a machine that several people use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vdmbench.file_lock import try_lock
from vdmbench.metrics.durable import save_tensors
from vdmbench.records import EventLog, write_atomically
from vdmbench.user_cache import writable_by_us_alone
from vdmbench.whole_file import write_json


def test_what_runs_is_kept_where_nobody_else_may_write(tmp_path):
    folder = writable_by_us_alone(tmp_path / "vdmbench" / "numba" / "scan")
    assert folder == tmp_path / "vdmbench" / "numba" / "scan"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert writable_by_us_alone(folder) == folder


@pytest.mark.fault
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_may_write_into_is_not_run_from(tmp_path, mode):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan").chmod(mode)
    own = writable_by_us_alone(tmp_path / "scan")
    assert own == tmp_path / f"scan-user-{os.geteuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(mode)
    assert writable_by_us_alone(tmp_path / "scan") is None, "compiled in each process then"


@pytest.mark.fault
def test_a_folder_of_somebody_else_is_not_run_from(tmp_path, monkeypatch):
    (tmp_path / "scan").mkdir(mode=0o755)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    assert writable_by_us_alone(tmp_path / "scan") is None, "nor from one that is called as ours, and is not"


WRITERS: dict[str, Callable[[Path], object]] = {
    "records": lambda path: write_atomically(path, b"{}"),
    "events": lambda path: EventLog(path).close(),
    "data": lambda path: write_json(path, {}),
    "tensors": lambda path: save_tensors({"a": torch.zeros(2)}, path),
    "locks": lambda path: try_lock(path).__enter__(),
}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_whoever_shares_a_folder_says_so_by_the_umask(tmp_path, write, umask, mode):
    before = os.umask(umask)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
