"""Kind: what is found by its name is silently more, or less, than what is there.

Found: class folders that are links vanished, hidden folders were classes, one test video was a training video under another
spelling, a link or a copy, lists could not have a byte-order mark or tabs. Mended: one walk (vdmbench/file_tree.py) follows
links, leaves hidden names out and counts what it left out; `data info`, the checks before a run and `fvd` say it once; lists
know a file by its inode and splits are held apart by content. Left: places that list folders which vdmbench writes itself.

Every place that lists a folder is named here with whose files it lists.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.kinds.syntax import called, places
from vdmbench.data.files.folder import Folder
from vdmbench.data.source import DataError

OURS = "a folder that vdmbench writes"
PACKAGE = "vdmbench's own package"

SITES = {
    "suite/shipped.py:shipped_suites": PACKAGE,
    "data/files/images.py:frames_of": "the frames of a video: pictures that are not hidden, all of one size",
    "data/files/published.py:_carla_names": "a published layout, held to its count",
    "data/preparing/prepare.py:prepare": "whether the folder is empty",
    "data/preparing/unpack.py:unpack": "whether the folder is empty",
    "data/preparing/unpack.py:inner_folder": "the one folder of an archive; two are refused",
    "data/resumable.py:alone_in": "whether the folder is empty",
    "data/resumable.py:begin": OURS,
    "data/store/writer.py:StoreWriter._tidy": OURS,
    "file_tree.py:_walk": "the one walk over a user's videos",
    "matching/memory.py:_source_digest": PACKAGE,
    "metrics/archive.py:PackagedFile.fetch": "what a package manager put into an empty folder",
    "records/merging.py:_files": OURS,
    "records/merging.py:_place": OURS,
    "records/store.py:ResultsFolder.attempt_folders": OURS,
    "records/store.py:ResultsFolder.histories": OURS,
    "report/baseline.py:update_baseline": OURS,
    "report/results.py:results_folders": OURS,
    "runner/beginning.py:_begun_before": "whether a checkpoint is there",
    "runner/checkpoint.py:Checkpoints._files": OURS,
    "runner/disk.py:_size": OURS,
    "runner/executors/bringing.py:pack": OURS,
    "runner/plan_cache.py:PlanCache.save": OURS,
    "runner/plan_cache.py:code_digest": PACKAGE,
    "suite/condition.py:_require": "whether a folder has weights",
    "user_code.py:_imports": "names in a syntax tree",
}


def test_every_place_that_lists_a_folder_is_known():
    found = places(lambda node: called(node) in ("rglob", "iterdir", "glob", "iglob", "listdir", "walk", "scandir"))
    assert set(found) == set(SITES)


def _video(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).integers(0, 255, (5, 8, 8, 3), np.uint8))
    return path


def _open(root: Path, split: str = "train") -> Folder:
    return Folder(path=root, split=split, frames=5, size=8)  # type: ignore[arg-type]


def test_links_are_followed_hidden_names_left_out_and_both_are_said(tmp_path: Path):
    root, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    _video(root / "train" / "run" / "0.npy", 0)
    _video(elsewhere / "walk" / "0.npy", 1)
    _video(root / "train" / ".cache" / "0.npy", 2)
    _video(root / "train" / "run" / "._0.npy", 3)
    _video(root / "test" / "run" / "0.npy", 4)
    os.symlink(elsewhere / "walk", root / "train" / "walk")
    os.symlink(root / "train", root / "train" / "round")  # a circle
    found = _open(root)
    assert [video.name for video in found.videos] == ["train/run/0.npy", "train/walk/0.npy"]
    assert found.labels == ("run", "walk")
    assert any("hidden" in note or "begin with a dot" in note for note in found.notes)


@pytest.mark.parametrize("how", ["copy", "hard link", "symbolic link"])
def test_a_test_video_under_another_name_is_refused(tmp_path: Path, how: str):
    train, test = _video(tmp_path / "train" / "a.npy", 0), tmp_path / "test" / "b.npy"
    _video(tmp_path / "test" / "c.npy", 1)
    if how == "copy":
        test.write_bytes(train.read_bytes())
    elif how == "hard link":
        os.link(train, test)
    else:
        os.symlink(train, test)
    with pytest.raises(DataError, match=r"never trained on|once"):
        _open(tmp_path, "test")
