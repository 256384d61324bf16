"""The regression gate: the tiny suite, on ViZDoom video recorded as the demo records it, against its committed baseline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAIN = [sys.executable, "-c", "from vdmbench.cli.app import main; main()"]


@pytest.mark.timeout(900)
def test_the_tiny_suite_gives_what_its_baseline_gave(tmp_path):
    recording = re.search(r"vdmbench (data record .*) --out \$\(DEMO_DATA\)", (ROOT / "Makefile").read_text())
    assert recording is not None, "the demo records its own video"
    for arguments in (
        [*recording[1].split(), "--out", "datasets/my_way_home"],
        ["run", str(ROOT / "suites" / "tiny.yaml"), "--results", "tiny"],
    ):
        done = subprocess.run([*MAIN, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    gate = subprocess.run(
        [*MAIN, "compare", str(ROOT / "results" / "baselines" / "tiny"), "tiny", "--portable"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert gate.returncode == 0, gate.stdout
