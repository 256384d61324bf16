"""The command line as a whole: fast help, no heavy imports, errors in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def test_help_is_fast_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['vdmbench', '--help']\n"
        "from vdmbench.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    seconds = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert done.returncode == 0, done.stderr
    assert "Compare temporal layers" in done.stdout
    # Of the processor, 0.3 s; what a busy machine adds is not counted.
    assert min(seconds) < 1.0


@pytest.mark.parametrize(
    "module",
    ["vdmbench", "vdmbench.suite", "vdmbench.records", "vdmbench.registry", "vdmbench.runner.supervisor", "vdmbench.report"],
)
def test_rooms_that_promise_it_do_not_import_torch(module):
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}, sys; assert 'torch' not in sys.modules"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_errors_are_one_line_with_exit_code_2(vdmbench, tmp_path, suite):
    outcome = vdmbench("plan", tmp_path / "absent.yaml")
    assert outcome == (2, "", f"error: {tmp_path / 'absent.yaml'}: cannot be read (No such file or directory)\n")
    suite.write_text(suite.read_text().replace("mixer: mamba}", "mixer: mambo}"))
    outcome = vdmbench("run", suite)
    assert outcome == (2, "", f"error: {suite}:6: variants.uni.mixer: unknown mixer 'mambo', did you mean 'mamba'?\n")


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["vdmbench", "--debug", "plan", str(tmp_path / "absent.yaml")])
    from vdmbench.cli.app import main

    with pytest.raises(ValueError, match="cannot be read"):
        main()


def test_version_schema_and_lists(vdmbench):
    assert vdmbench("--version").out.strip()
    assert json.loads(vdmbench("schema").out)["title"] == "Suite"
    for kind, name in (
        ("mixers", "mamba"),
        ("datasets", "sprites"),
        ("metrics", "ste-fd"),
        ("suites", "tiny"),
        ("networks", "unet3d"),
    ):
        assert name in vdmbench("list", kind).out
        assert name in [row["name"] for row in json.loads(vdmbench("list", kind, "--json").out)]
    assert vdmbench("list", "mixrs").code == 2


def test_doctor_tells_what_is_there_and_how_to_get_the_rest(vdmbench):
    outcome = vdmbench("doctor")
    assert outcome.code == 0
    assert "selective_scan" in outcome.out
    assert "mamba_ssm" in outcome.out
    assert "pip install" in outcome.out
    found = json.loads(vdmbench("doctor", "--json").out)
    usable = {
        status["backend"] for status in found["backends"] if status["why_not"] is None and status["op"] == "selective_scan"
    }
    assert {"reference", "numba"} <= usable


def test_a_fault_of_our_own_is_one_line_and_a_report(vdmbench, suite, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("vdmbench.api.expand", lambda *_: 1 // 0)
    outcome = vdmbench("plan", suite)
    assert (outcome.code, outcome.out) == (70, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ZeroDivisionError: integer division or modulo by zero (a fault of vdmbench, not of what you")
    (report,) = (tmp_path / "cache" / "vdmbench" / "faults").iterdir()
    assert str(report) in line
    text = report.read_text()
    assert f"vdmbench plan {suite}" in text
    assert "in <lambda>" in text
    monkeypatch.setattr(sys, "argv", ["vdmbench", "--debug", "plan", str(suite)])
    from vdmbench.cli.app import main

    with pytest.raises(ZeroDivisionError):
        main()


def test_a_fault_where_nothing_can_be_written_is_one_line_too(vdmbench, suite, monkeypatch):
    monkeypatch.setattr("vdmbench.api.expand", lambda *_: 1 // 0)
    monkeypatch.setattr("pathlib.Path.write_text", refused)
    outcome = vdmbench("plan", suite)
    assert outcome.code == 70
    assert "run it again with --debug" in outcome.err
    assert outcome.err.count("\n") == 1


def refused(*_: object, **__: object) -> None:
    raise OSError("read-only")


def test_a_working_directory_that_is_gone_is_one_line(vdmbench, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    outcome = vdmbench("plan", "tiny")
    assert outcome == (2, "", "error: the working directory is gone: go to one that exists, and start again there\n")


def test_a_user_without_a_home_is_told_what_to_set(vdmbench, suite, monkeypatch):
    def unknown(*_: object) -> None:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", unknown)
    monkeypatch.setattr("pathlib.Path.expanduser", unknown)
    outcome = vdmbench("plan", suite, "--no-memory")
    assert outcome.code == 2
    assert "has no home folder here: set HOME, or XDG_CACHE_HOME" in outcome.err
    assert "Traceback" not in outcome.err
    outcome = vdmbench("plan", suite, "data.source={name: folder, path: ~nobody/walks}")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
