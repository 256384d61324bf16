"""The workflow that the documentation offers: well formed, and its steps are commands that this program has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.report.synthetic import make_record, store

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "docs" / "ci" / "gate.yml"


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow[True] == ["pull_request"]  # YAML 1.1 reads the key "on" as true
    (job,) = workflow["jobs"].values()
    assert {"runs-on", "steps"} <= set(job)
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"name", "uses", "with", "run", "shell", "if", "env"}
        assert re.fullmatch(r"[\w./-]+@v\d+", step.get("uses", "actions/x@v1"))
    return job["steps"]


def test_every_step_is_a_script_that_the_shell_accepts(steps) -> None:
    scripts = [step["run"] for step in steps if "run" in step]
    assert [shlex.split(line)[:2] for script in scripts for line in script.splitlines() if line.startswith("vdmbench")] == [
        ["vdmbench", "data"],
        ["vdmbench", "run"],
        ["vdmbench", "compare"],
        ["vdmbench", "report"],
    ]
    for script in scripts:
        assert "${{" not in script  # what a pull request names must not become code
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(("factor", "code", "said"), [(1.0, 0, "no regression"), (1.2, 1, "ste-fd | ")])
def test_the_judging_step_fails_where_the_gate_does_and_tells_it(steps, tmp_path, factor, code, said) -> None:
    """As the workflow runs it, in a clone: a baseline in git, new results beside it, the outcome on the summary."""
    (judge,) = (step for step in steps if step.get("name") == "Judge")
    repository = tmp_path / "clone"
    store(repository / "results" / "baselines" / "tiny", [make_record("s4d", metric="ste-fd")])
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Baseline"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    store(repository / "results" / "tiny", [make_record("s4d", metric="ste-fd", cohort="another", distance_factor=factor)])
    python = shlex.quote(sys.executable)
    script = f'vdmbench() {{ {python} -c "from vdmbench.cli.app import main; main()" "$@"; }}\n{judge["run"]}'
    summary = tmp_path / "summary.md"
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(summary),
        "BASELINE": "HEAD:results/baselines/tiny",
    }
    ended = subprocess.run(
        ["bash", "-e", "-c", script], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert said in summary.read_text()
