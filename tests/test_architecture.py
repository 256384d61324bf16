"""The rooms import downwards only, and every file is about one thing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_import_directions_are_kept():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", [path for path in sorted((ROOT / "vdmbench").rglob("*.py"))], ids=lambda path: path.stem)
def test_no_file_is_a_drawer(path: Path):
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}
    assert len(path.read_text().splitlines()) <= 400


PYTHON = ["vdmbench", "tests", "benchmarks"]


@pytest.mark.parametrize(
    "tool", [["ruff", "check", *PYTHON], ["ruff", "format", "--check", *PYTHON], ["mypy"]], ids=["ruff", "format", "mypy"]
)
def test_static_checks_are_clean(tool: list[str]):
    done = subprocess.run(
        [Path(sys.executable).with_name(tool[0]), *tool[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
