"""One walk over a folder: what it finds, what it leaves out, and that links cannot make it hang."""

from __future__ import annotations

import os
from pathlib import Path

from vdmbench.file_tree import file_tree


def test_links_are_followed_once_and_what_is_left_out_is_kept(tmp_path: Path) -> None:
    for name in ("a/1.npy", "a/b/2.npy", ".hidden/3.npy", "a/.4.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.symlink("b", tmp_path / "a" / "again")
    os.symlink("../..", tmp_path / "a" / "b" / "up")
    os.symlink("nowhere", tmp_path / "broken")
    os.symlink("a/1.npy", tmp_path / "file.npy")
    tree = file_tree(tmp_path)
    named = {
        kind: [path.relative_to(tmp_path).as_posix() for path in getattr(tree, kind)]
        for kind in ("files", "hidden", "again", "broken")
    }
    assert named["files"] == ["a/1.npy", "a/b/2.npy", "file.npy"]
    assert named["hidden"] == [".hidden", "a/.4.npy"]
    assert named["again"] == ["a/again", "a/b/up"]
    assert named["broken"] == ["broken"]


def test_folders_that_all_link_to_one_another_are_walked_once(tmp_path: Path) -> None:
    """As many paths as 12 factorial, were each of them followed."""
    folders = [tmp_path / "all" / f"{number:02d}" for number in range(12)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.npy").touch()
    for folder in folders:
        for other in folders:
            os.symlink(other, folder / f"to-{other.name}")
    assert len(file_tree(tmp_path / "all").files) == 12
