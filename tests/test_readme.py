"""README's commands are run as written, on a suite cut small; its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import vdmbench
from vdmbench.suite import expand, parse_suite

__all__ = ["vdmbench"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
# What makes a real suite last seconds, and needs no recording.
SMALL = [
    "data.source=sprites",
    "data.size=16",
    "train.steps=1",
    "train.batch_size=1",
    "train.precision=fp32",
    "sample.steps=1",
    "sample.clips=2",
    "sample.precision=fp32",
    "evaluate={metrics: [{name: ste-fd, bootstrap: 20, control_clips: 2}], real_clips: 2}",
    "seeds=[0]",
    "sweep={data.frames: [6]}",
    "network.base_channels=8",
    "match=null",
    "claims=[]",
]
TWO_CELLS = ["--max-cells", "2"]


def test_every_suite_in_the_text_is_valid():
    suites = [block for kind, block in BLOCKS if kind == "yaml"]
    assert suites
    for text in suites:
        assert expand(*parse_suite(text))
        assert len(text.strip().splitlines()) <= 20


def test_the_make_commands_exist():
    targets = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in targets:
        assert subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(900)
def test_the_vdmbench_commands_run(vdmbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "results" / "baselines", tmp_path / "results" / "baselines")
    shutil.copytree(ROOT / "results" / "baselines" / "tiny", tmp_path / "results" / "tiny")
    (tmp_path / "my_comparison.yaml").write_text(next(block for kind, block in BLOCKS if kind == "yaml"))
    commands = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("vdmbench ")]
    assert [command[0] for command in commands] == [
        *("plan", "plan", "run", "report", "compare", "run", "report", "doctor", "run")
    ]
    for command in commands:
        runs = command[0] == "run"
        outcome = vdmbench(*command, *([*SMALL, *TWO_CELLS] if runs else []))
        assert outcome.code == (3 if runs else 0), (command, outcome.err, outcome.out)  # 3: cells are left
    assert (tmp_path / "reports" / "my_comparison" / "index.html").exists()


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
