"""The public functions, used as a notebook would: no command line in between."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import vdmbench

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SUITE = """
schema: 1
name: notebook
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants:
  none: {mixer: identity}
  uni: {mixer: mamba}
seeds: [0]
data: {source: {name: sprites}, frames: 6, size: 8}
diffusion: {steps: 4}
train: {steps: 2, batch_size: 2, warm_up: 0, ema_warm_up: true}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate:
  metrics: [{name: ste-fd, bootstrap: 20, control_clips: 4}]
  real_clips: 4
  val_loss: null
run: {device: cpu, threads: 1}
"""


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("notebook") / "notebook.yaml"
    file.write_text(SUITE)
    return file


@pytest.fixture(scope="module")
def results(suite_file: Path) -> Path:
    """Of a run that nobody looked on."""
    folder = suite_file.parent / "results"
    ended = vdmbench.run(vdmbench.load_suite(suite_file), folder)
    assert ended.exit_code == 0
    assert list(ended.statuses.values()) == ["ok", "ok"]
    return folder


def test_a_plan_has_every_cell_with_its_cost(suite_file):
    loaded = vdmbench.load_suite(str(suite_file), "seeds=[0, 1]")
    assert [(cell.variant, cell.seed) for cell in loaded.cells] == [("none", 0), ("none", 1), ("uni", 0), ("uni", 1)]
    planned = vdmbench.plan(loaded, memory=False).cells
    assert [each.cell for each in planned] == loaded.cells
    costs = {each.cell.variant: each.solved.flops_forward for each in planned}
    assert costs["uni"] > costs["none"] > 0


def test_a_second_run_finds_everything_done(results, suite_file):
    again = vdmbench.run(vdmbench.load_suite(suite_file), results)
    assert (again.ran, again.exit_code, again.left) == (0, 0, [])


def test_results_are_a_frame_and_a_report(results, tmp_path):
    study = vdmbench.read_results(results, reference="none")
    assert sorted(study.frame["label"].unique()) == ["none", "uni"]
    written = vdmbench.api.report(results, out=tmp_path / "report")
    assert tmp_path / "report" / "index.html" in written.files
    assert "ste-fd" in (tmp_path / "report" / "index.html").read_text().lower()


def test_the_page_runs_as_printed(suite_file, tmp_path, monkeypatch, capsys):
    """Its first block with a smaller suite in the place of ``tiny``."""
    monkeypatch.chdir(tmp_path)
    first, second = PYTHON.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    exec(first.replace('"tiny"', repr(str(suite_file))), names)
    assert names["ended"].exit_code == 0
    assert len(names["study"].frame) == len(names["plan"].cells) == 2
    assert all(path.is_file() for path in names["written"].files)
    exec(second, {})
    assert capsys.readouterr().out.split("\n")[:2] == re.findall(r"# (torch.Size.*)", second)


def test_the_page_names_every_public_function():
    page = PAGE.read_text()
    assert [name for name in vdmbench.__all__ if name != "__version__" and f"`{name}" not in page] == []


def test_only_some_cells(suite_file, tmp_path):
    ended = vdmbench.run(vdmbench.load_suite(suite_file), tmp_path, only=["none"])
    assert (ended.ran, ended.exit_code, [cell.variant for cell in ended.left]) == (1, 3, ["uni"])
    with pytest.raises(ValueError, match="no such status"):
        vdmbench.run(vdmbench.load_suite(suite_file), tmp_path, retry=["tired"])


def test_code_runs_only_where_it_is_allowed(suite_file, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("raise SystemExit('run')")
    setting = f"variants.uni.mixer={{name: '{code}:Mine'}}"
    with pytest.raises(ValueError, match=r"would run .*mine\.py:Mine"):
        vdmbench.load_suite(suite_file, setting)
    assert list(vdmbench.load_suite(suite_file, setting, allow_code=True).code) == [f"{code}:Mine"]


def test_modules_by_name():
    x = torch.randn(2, 5, 32)
    mixer = vdmbench.build_mixer("mamba", 32, direction="both")
    assert mixer(x).shape == x.shape
    network = vdmbench.build_network(
        "unet3d", mixer={"name": "attention", "rotary": False}, base_channels=8, multipliers=[1, 2]
    )
    clips = torch.randn(1, 4, 3, 8, 8)
    assert network(clips, torch.zeros(1)).shape == clips.shape


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: vdmbench.build_mixer("mambo", 8), "unknown mixer 'mambo', did you mean 'mamba'"),
        (
            lambda: vdmbench.build_mixer("mamba", 8, directions="both"),
            "mamba: directions: unknown key.*did you mean 'direction'",
        ),
        (lambda: vdmbench.build_network("unet3d", mixer="attention", base_channels=7), "unet3d: base_channels"),
        (lambda: vdmbench.load_suite("tinny"), "no shipped suite of that name; shipped: .*tiny"),
    ],
)
def test_what_is_wrong_is_named(build, said):
    with pytest.raises(ValueError, match=said):
        build()


def test_the_package_alone_imports_no_torch():
    code = "import sys, vdmbench; vdmbench.load_suite('tiny'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    code = "import vdmbench; print(callable(vdmbench.api.report))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = vdmbench.trian


def test_every_public_name_is_there_and_documented():
    for name in vdmbench.__all__:
        if name != "__version__":
            assert getattr(vdmbench, name).__doc__


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "vdmbench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == vdmbench.__version__
