"""Names that other packages add."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.suite.texts import MINIMAL

OPTIONS = "vdmbench.suite.options.metrics:FrechetOptions"


def judged_by_a_plug_in(folder, *fields: str) -> subprocess.CompletedProcess[str]:
    """Plan a suite whose metric is registered by another package, with those ``fields`` of its entry besides."""
    declared = ", ".join([f"'judge', 'judge_plugin:Judge', '{OPTIONS}', 'a test'", *fields])
    (folder / "judge_plugin.py").write_text(f"from vdmbench.registry import Entry\nJUDGE = Entry({declared})\n")
    told = folder / "judge_plugin-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: judge-plugin\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[vdmbench.metrics]\njudge = judge_plugin:JUDGE\n")
    suite = folder / "judged.yaml"
    suite.write_text(MINIMAL.replace("{name: ste-fd, bootstrap: 20, control_clips: 4}", "judge"))
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "vdmbench", "plan", str(suite), "--no-memory"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder)},
    )  # fmt: skip


@pytest.mark.parametrize("fields", [(), ("better='more'",)])
def test_a_metric_without_a_direction_is_refused_at_plan(tmp_path, fields):
    done = judged_by_a_plug_in(tmp_path, *fields)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2
    assert len(lines) == 1
    assert "judged.yaml" in lines[0]
    assert "evaluate.metrics[0]" in lines[0]
    assert "metric 'judge' (judge_plugin:Judge) does not say whether less or more of it is better" in lines[0]
    assert "better='lower' or better='higher'" in lines[0]


def test_a_metric_with_a_direction_is_planned(tmp_path):
    done = judged_by_a_plug_in(tmp_path, "better='higher'")
    assert done.returncode == 0, done.stderr
