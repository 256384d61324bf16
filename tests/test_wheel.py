"""The wheel holds all that an installed vdmbench needs, shipped suites included."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent


def test_a_wheel_installs_and_plans_a_shipped_suite(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("vdmbench-*.whl")
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / "bin" / "python"
    # The dependencies are lent by this environment, so that no gigabyte of torch is installed again; vdmbench is not: what a
    # path file points to does not have its own path files read, and an editable install is nothing but one.
    site = next((tmp_path / "clean" / "lib").glob("python*/site-packages"))
    (site / "lent.pth").write_text(str(Path(torch.__file__).parent.parent))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    done = subprocess.run(
        [tmp_path / "clean" / "bin" / "vdmbench", "plan", "tiny", "--json", "sweep={}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["cells"]) == 7
    where = subprocess.run(
        [python, "-c", "import vdmbench; print(vdmbench.__file__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert Path(where.strip()).is_relative_to(site)
