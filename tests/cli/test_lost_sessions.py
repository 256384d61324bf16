"""What goes away while a suite runs: the terminal, whoever reads what is said, the results folder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.cli.lasting_stderr import LastingStderr
from vdmbench.records import ResultsFolder
from vdmbench.runner.preemption import Preempted, preemptible

MAIN = "from vdmbench.cli.app import main; main()"
ONE = ["--results", "r", "run.device=cpu", "--only", "floor"]


def begin(folder: Path, *options: str, **pipes: int) -> subprocess.Popen[str]:
    (folder / "s.yaml").write_text(MINIMAL)
    command = [sys.executable, "-c", MAIN, "run", "s.yaml", *ONE, *options]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.DEVNULL, **pipes)


def until_it_trains(process: subprocess.Popen[str], results: Path) -> None:
    deadline = time.monotonic() + 200
    while not any('"type": "checkpoint"' in log.read_text() for log in results.glob("cells/*/attempts/*/events.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, "training did not begin"  # noqa: PT018
        time.sleep(0.05)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A run whose results were renamed while it trained; what it said, and its exit code."""
    folder = tmp_path_factory.mktemp("moved")
    process = begin(folder, "train.steps=2000", "run.checkpoint_every=5", stderr=subprocess.PIPE)
    until_it_trains(process, folder / "r")
    (folder / "r").rename(folder / "elsewhere")
    _, err = process.communicate(timeout=100)
    return folder, process.returncode, err


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_results_renamed_while_cells_run_end_the_run_and_are_not_made_again(moved):
    folder, code, err = moved
    assert code == 2, err
    assert "error: r: the results folder is gone: it was moved, renamed or deleted" in err
    assert not (folder / "r").exists()
    results = ResultsFolder(folder / "elsewhere")
    (history,) = results.histories()
    assert history.latest.status == "interrupted"
    assert list(results.checkpoint_folder(history.identity).iterdir()), "what was finished is there"


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_reader_that_goes_away_ends_what_is_shown_and_not_the_run(tmp_path):
    process = begin(tmp_path, "train.steps=4", stderr=subprocess.PIPE)
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(200) == 3, "the other cells are left, and nothing failed"
    assert [record.status for record in ResultsFolder(tmp_path / "r").records()] == ["ok"]


class Broken:
    """A stream whose every write fails, before or after some that did not."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number, self.descriptor, self.encoding = number, descriptor, "utf-8"

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def flush(self) -> None:
        self.write("")

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_whatever_is_wrong_with_standard_error_it_takes_no_more(number, tmp_path):
    with (tmp_path / "log").open("w") as log:
        lasting = LastingStderr(Broken(number, log.fileno()))
        assert lasting.write("a line\n") == 7
        lasting.flush()
        assert lasting.encoding == "utf-8"
        os.write(log.fileno(), b"past it")
    assert (tmp_path / "log").read_bytes() == b"", "what is written past it goes nowhere either"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_lost_terminal_is_a_preemption(number, code):
    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may have said nohup
    try:
        with pytest.raises(Preempted) as preempted, preemptible():
            signal.raise_signal(number)
    finally:
        signal.signal(number, before)
    assert preempted.value.exit_code == code
    assert preempted.value.signal == number


def test_who_said_nohup_meant_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with preemptible():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_cell_that_is_ok_is_not_run_again_in_its_place(vdmbench, tmp_path):
    (tmp_path / "s.yaml").write_text(MINIMAL)
    refused = vdmbench("run", tmp_path / "s.yaml", "--results", tmp_path / "r", "--retry", "oom", "--retry", "ok")
    assert refused.code == 2
    assert "--retry ok: cells that are ok are kept" in refused.err
    assert "vdmbench rerun" in refused.err
    assert not (tmp_path / "r").exists()
