from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vdmbench.data import compilation
from vdmbench.data.procedural.maze import Maze

RENDER = (
    "from vdmbench.data.procedural.maze import Maze; print(Maze(split='train', frames=2, size=8).clip(0, 0, 2).tobytes().hex())"
)


def render(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | variables
    package = str(Path(compilation.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", RENDER],
        env={**environment, "PYTHONPATH": package},
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    ).stdout


def test_compiled_code_goes_to_the_cache_folder_and_not_beside_the_source(tmp_path: Path) -> None:
    source = Path(compilation.__file__).parent
    render(XDG_CACHE_HOME=str(tmp_path))
    assert list((tmp_path / "vdmbench" / "numba").rglob("*.nbc"))
    assert not list(source.rglob("*.nb[ci]"))


def test_without_a_writable_cache_folder_it_compiles_anew(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    here = Maze(split="train", frames=2, size=8).clip(0, 0, 2)
    assert render(XDG_CACHE_HOME=str(blocked)).strip() == here.tobytes().hex()


def test_the_users_numba_folder_is_taken(tmp_path: Path) -> None:
    render(NUMBA_CACHE_DIR=str(tmp_path / "mine"))
    assert list((tmp_path / "mine").rglob("*.nbc"))
