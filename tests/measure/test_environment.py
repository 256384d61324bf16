from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vdmbench.measure import capture
from vdmbench.measure.environment import container_cpu_limit, container_memory_limit, container_oom_kills, git_state

GIB = 2**30


def git(directory: Path, *arguments: str) -> bytes:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "Begin")
    return tmp_path


def test_what_is_captured_is_json_and_describes_this_process(tmp_path: Path):
    environment = capture(tmp_path)
    assert json.loads(json.dumps(environment)) == environment
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert environment["torch"]["version"] == torch.__version__
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["threads"]["torch"] == torch.get_num_threads()
    assert 0 < environment["cpu"]["cores_visible"] <= environment["cpu"]["cores"]
    assert environment["memory"]["total_bytes"] > GIB // 4
    assert environment["git"] is None
    assert len(environment["gpus"]) == torch.cuda.device_count()


def test_it_is_cheap_once_torch_is_there(repository: Path):
    seconds = []
    for _ in range(3):
        before = os.times()
        capture(repository)
        after = os.times()  # its own processor time, and git's; a busy machine adds none
        seconds.append(sum(after[:4]) - sum(before[:4]))
    assert min(seconds) < 0.3


def test_only_listed_variables_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MY_TOKEN", "secret")
    assert capture(tmp_path)["variables"]["OMP_NUM_THREADS"] == "3"
    assert "secret" not in json.dumps(capture(tmp_path))


def test_determinism_is_what_torch_was_told(tmp_path: Path):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert capture(tmp_path)["determinism"]["deterministic_algorithms"] is True
    finally:
        torch.use_deterministic_algorithms(before)


def test_a_clean_repository(repository: Path):
    commit = git(repository, "rev-parse", "HEAD").decode().strip()
    assert git_state(repository) == {"commit": commit, "dirty": False, "untracked": 0, "patch_sha256": None}


def test_a_changed_repository_is_dirty_and_its_patch_is_hashed(repository: Path):
    (repository / "code.py").write_text("x = 2\n")
    (repository / "new.py").write_text("")
    (repository / "inside").mkdir()
    state = git_state(repository / "inside")
    assert (state["dirty"], state["untracked"]) == (True, 1)
    assert state["patch_sha256"] == hashlib.sha256(git(repository, "diff", "HEAD", "--binary")).hexdigest()


def test_outside_a_repository_or_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path.cwd()) is None


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_tightest_limit_of_version_2_groups_binds(tmp_path: Path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/job/memory.max": "max\n",
            "sys/fs/cgroup/user/memory.max": f"{8 * GIB}\n",
        },
    )
    assert container_memory_limit(root) == 8 * GIB


def test_a_container_whose_group_path_is_the_hosts(tmp_path: Path):
    root = system(tmp_path, {"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"})
    assert container_memory_limit(root) == 2 * GIB


def test_a_version_1_limit(tmp_path: Path):
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/job\n0::/\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert container_memory_limit(root) == 4 * GIB


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"},
        {"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
    ],
)
def test_no_limit_is_none(files: dict[str, str], tmp_path: Path):
    assert container_memory_limit(system(tmp_path, files)) is None


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/j\n", "sys/fs/cgroup/j/cpu.max": "150000 100000", "sys/fs/cgroup/cpu.max": "max 1"}, 1.5),
        ({"proc/self/cgroup": "3:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "400000\n"}, 4.0),
        ({"proc/self/cgroup": "3:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n"}, None),
        ({}, None),
    ],
)
def test_a_quota_of_cores(files: dict[str, str], cores: float | None, tmp_path: Path):
    assert container_cpu_limit(system(tmp_path, files)) == cores


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(
    ("files", "kills"),
    [
        (
            {
                "proc/self/cgroup": "0::/user/job\n",
                "sys/fs/cgroup/user/job/memory.events": "low 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 0\n",
                "sys/fs/cgroup/user/memory.events": "oom_kill 7\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/job\n0::/\n",
                "sys/fs/cgroup/memory/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            },
            3,
        ),
        ({"proc/self/cgroup": "4:memory:/job\n", "sys/fs/cgroup/memory/job/memory.oom_control": "oom_kill_disable 0\n"}, 0),
        ({"proc/self/cgroup": "0::/\n"}, 0),
    ],
)
def test_kills_for_want_of_memory_are_those_of_the_own_group(files: dict[str, str], kills: int, tmp_path: Path):
    assert container_oom_kills(system(tmp_path, files)) == kills


def test_the_state_of_a_device_is_told():
    for gpu in capture()["gpus"]:
        assert gpu["state"]["sm_clock_mhz"] > 0
        assert gpu["state"]["sm_clock_limit_mhz"] >= gpu["state"]["sm_clock_mhz"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_devices_carry_the_uuid_that_nvml_knows():
    from vdmbench.measure import list_gpus

    environment = capture()
    assert {gpu["uuid"] for gpu in environment["gpus"]} <= {gpu.uuid for gpu in list_gpus()}
    assert environment["nvidia_driver"] is not None
    assert environment["torch"]["cudnn"] is not None


@pytest.mark.parametrize(("declared", "told"), [("none", "ieee"), ("ieee", "ieee"), ("tf32", "tf32")])
def test_how_float32_is_multiplied_is_told_for_each_kind_of_op(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, declared, told):
    """Put in PyTorch's place: once its precisions are set in this way, its older names for them raise in this process."""
    others = capture(tmp_path)["determinism"]["float32_on_cuda"]
    assert others.keys() == {"matrix_products", "convolutions", "recurrent_layers"}
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(fp32_precision=declared))
    assert capture(tmp_path)["determinism"]["float32_on_cuda"] == {**others, "matrix_products": told}
