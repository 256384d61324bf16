from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vdmbench.data.files.formats import open_videos
from vdmbench.data.source import DataError
from vdmbench.unpacked import refuse_larger_than_memory


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdmbench.unpacked.psutil.virtual_memory", lambda: SimpleNamespace(available=2 * 2**20))


def bomb(path: Path, name: str, shape: tuple[int, ...]) -> Path:
    np.savez_compressed(path, **{name: np.zeros(shape, np.uint8)})
    assert path.stat().st_size < np.prod(shape) / 100
    return path


@pytest.mark.usefixtures("little_memory")
def test_what_unpacks_to_more_than_half_of_memory_is_refused_unread(tmp_path):
    path = bomb(tmp_path / "clips.npz", "videos", (3, 8, 224, 224, 3))
    with pytest.raises(ValueError, match=r"unpacks to 0.00336 GiB, more than 50% of the memory"):
        refuse_larger_than_memory(path)
    refuse_larger_than_memory(path, {"other.npy"})
    first = open_videos(path)[0]
    with pytest.raises(DataError, match=r"clips\.npz cannot be read as \.npz \(it unpacks to"):
        first.read(0, 1)


@pytest.mark.usefixtures("little_memory")
def test_annotations_are_counted_too(tmp_path):
    path = tmp_path / "one.npz"
    np.savez_compressed(path, video=np.zeros((4, 8, 8, 3), np.uint8), actions=np.zeros(3 * 2**20, np.uint8))
    (video,) = open_videos(path)
    assert video.read(0, 4).shape == (4, 8, 8, 3)  # of one video only the frames that are asked for are unpacked
    with pytest.raises(DataError, match="unpacks to"):
        video.annotate()


def test_what_fits_is_read(tmp_path):
    path = bomb(tmp_path / "clips.npz", "videos", (3, 8, 64, 64, 3))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["videos.npy"]
    assert [video.read(0, 8).shape for video in open_videos(path)] == [(8, 64, 64, 3)] * 3
