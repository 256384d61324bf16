"""Published data sets, read from files made in exactly their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data_room.videos import counting, number_of, sparse, write_movie
from vdmbench.data.files.published import PUBLISHED
from vdmbench.data.source import DataError, Source
from vdmbench.registry import sources


def opened(name: str, path: Path, split: str = "train", **options: int) -> Source:
    return sources[name].load()(**{"split": split, "frames": 1, "size": PUBLISHED[name].side, "path": path, **options})


@pytest.mark.parametrize(("name", "frames"), [("minerl-navigate", 500), ("gqn-mazes", 300)])
def test_mazes_as_arrays(name: str, frames: int, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        sparse(tmp_path / split / "0.npy", (frames, 64, 64, 3), 7)
    source = opened(name, tmp_path, frames=frames)
    assert (len(source), source.length(0)) == (1, frames)
    assert source.clip(0, 0, 256)[0, 0, 0, 0] == 7
    sparse(tmp_path / "train" / "1.npy", (frames, 32, 32, 3), 7)
    with pytest.raises(DataError, match=rf"1\.npy has {frames} frames of 32x32, and those of .* have {frames} of 64x64; read"):
        opened(name, tmp_path)


def test_mazes_as_published_movies(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_movie(tmp_path / split / "0.mp4", np.resize(counting(30, side=64), (300, 64, 64, 3)))
    source = opened("gqn-mazes", tmp_path, frames=256)
    assert [number_of(frame) for frame in source.clip(0, 35, 5)] == [5, 6, 7, 8, 9]


def carla(folder: Path, count: int) -> None:
    """Of one value each, so that a file holds one number and says that it is the whole video."""
    for index in range(count):
        torch.save(torch.tensor(index % 251, dtype=torch.uint8).expand(1000, 128, 128, 3), folder / f"video_{index}.pt")
        np.save(folder / f"coords_{index}.npy", np.arange(2000.0).reshape(1000, 2))


class TestCarla:
    def test_without_tables_the_last_hundred_are_the_test_split(self, tmp_path: Path) -> None:
        carla(tmp_path, 102)
        train, test = opened("carla-town01", tmp_path), opened("carla-town01", tmp_path, "test")
        assert [train.name(index) for index in range(len(train))] == ["video_0.pt", "video_1.pt"]
        assert (len(test), test.name(0), test.name(99)) == (100, "video_2.pt", "video_101.pt")
        assert (test.clip(98, 900, 100) == 100).all()
        np.testing.assert_array_equal(train.annotations(0, 3, 2)["coords"], [[6, 7], [8, 9]])

    def test_tables_decide_the_split(self, tmp_path: Path) -> None:
        carla(tmp_path, 3)
        (tmp_path / "video_train.csv").write_text(",path\n0,/scratch/carla/video_2.pt\n1,/scratch/carla/video_0.pt\n")
        (tmp_path / "video_test.csv").write_text(",path\n0,video_1.pt\n")
        train = opened("carla-town01", tmp_path, size=32)
        assert [train.name(index) for index in range(2)] == ["video_2.pt", "video_0.pt"]
        assert train.clip(0, 0, 4).shape == (4, 32, 32, 3)
        assert train.fingerprint() != opened("carla-town01", tmp_path, "test", size=32).fingerprint()

    @pytest.mark.parametrize(
        ("train", "test", "said"),
        [
            (
                ",path\n0,video_0.pt\n",
                ",path\n0,video_1.pt\n1,video_0.pt\n",
                r"video_test\.csv:3 lists video_0\.pt, which video_t",
            ),
            (
                ",path\n0,video_0.pt\n1,video_0.pt\n",
                ",path\n0,video_1.pt\n",
                r"video_train\.csv:3 lists video_0\.pt, which vid",
            ),
            (",path\n0,video_9.pt\n", ",path\n0,video_1.pt\n", r"video_train\.csv:2 lists video_9\.pt, which is not in"),
            ("path;index\n", ",path\n0,video_1.pt\n", r"video_train\.csv has no column 'path'|lists no video"),
            (",path\n0,video_0.pt\n", None, r"video_test\.csv cannot be read"),
        ],
    )
    def test_wrong_tables_are_named(self, train: str, test: str | None, said: str, tmp_path: Path) -> None:
        carla(tmp_path, 2)
        (tmp_path / "video_train.csv").write_text(train)
        if test is not None:
            (tmp_path / "video_test.csv").write_text(test)
        with pytest.raises(DataError, match=said):
            opened("carla-town01", tmp_path)

    def test_too_few_videos_and_torn_ones_are_named(self, tmp_path: Path) -> None:
        carla(tmp_path, 2)
        with pytest.raises(DataError, match="of which the last 100 are the test split"):
            opened("carla-town01", tmp_path)
        (tmp_path / "video_train.csv").write_text(",path\n0,video_0.pt\n")
        (tmp_path / "video_test.csv").write_text(",path\n0,video_1.pt\n")
        (tmp_path / "video_0.pt").write_bytes((tmp_path / "video_0.pt").read_bytes()[:300])
        with pytest.raises(DataError, match=r"video_0\.pt cannot be read as \.pt"):
            opened("carla-town01", tmp_path)

    def test_pickles_are_never_run(self, tmp_path: Path) -> None:
        carla(tmp_path, 101)
        torch.save({"frames": [Path("anything")]}, tmp_path / "video_0.pt")
        with pytest.raises(DataError, match=r"video_0\.pt"):
            opened("carla-town01", tmp_path)


def test_dmlab_of_teco(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "0").mkdir(parents=True)
        np.savez_compressed(
            tmp_path / split / "0" / "3.npz", actions=np.arange(300), video=np.zeros((300, 64, 64, 3), np.uint8)
        )
    source = opened("teco-dmlab", tmp_path, frames=300)
    np.testing.assert_array_equal(source.annotations(0, 10, 3)["actions"], [10, 11, 12])


def test_minecraft_of_teco(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_movie(tmp_path / split / "a.mp4", np.resize(counting(30, side=128), (300, 128, 128, 3)), key_frame_every=50)
        np.savez(tmp_path / split / "a.npz", actions=np.arange(300), position=np.zeros((300, 3)))
    source = opened("teco-minecraft", tmp_path, frames=300)
    assert len(source) == 1
    assert {name: rows.shape for name, rows in source.annotations(0, 5, 7).items()} == {"actions": (7,), "position": (7, 3)}
    (tmp_path / "train" / "a.npz").unlink()
    with pytest.raises(DataError, match=r"a\.mp4 has no a\.npz with its actions"):
        opened("teco-minecraft", tmp_path)


def test_moving_mnist(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "mnist_test_seq.npy", mode="w+", dtype=np.uint8, shape=(20, 10000, 64, 64))
    array[5, 8999], array[6, 9000] = 11, 12
    array.flush()
    train, test = opened("moving-mnist", tmp_path), opened("moving-mnist", tmp_path, "test", frames=20)
    assert (len(train), len(test), test.length(0)) == (9000, 1000, 20)
    assert (train.clip(8999, 5, 1) == 11).all()
    assert (test.clip(0, 6, 2)[0] == 12).all()
    assert test.clip(0, 0, 20).shape == (20, 64, 64, 3)
    np.save(tmp_path / "mnist_test_seq.npy", np.zeros((20, 3, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"frames first|uint8 \(20, 10000"):
        opened("moving-mnist", tmp_path)
