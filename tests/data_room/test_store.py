from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data_room.videos import video
from vdmbench.data.procedural.maze import Maze
from vdmbench.data.source import DataError, Description
from vdmbench.data.store.index import Index
from vdmbench.data.store.store import Store
from vdmbench.data.store.writer import StoreWriter

SHARD = 3 * 12 * 16 * 16 * 3  # three of the short videos


def fill(folder: Path, *, train: int = 7, stop_after: int | None = None, **options: Any) -> Index | None:
    """Videos of 12 and 20 frames, each with actions and a class; None where it stops before the end."""
    writer = StoreWriter(folder, {"dataset": "test"}, 16, **{"shard_bytes": SHARD, **options})
    added = 0
    for split, count, first in (("train", train, 0), ("test", 2, 100)):
        for index in range(writer.kept(split), count):
            if added == stop_after:
                return None
            frames = 20 if index == 3 else 12
            writer.add(
                split,
                f"{split}/{index}",
                video(first + index, frames),
                description=Description(f"class{index % 2}", f"video {index}"),
                annotations={"actions": np.arange(frames, dtype=np.int16), "pose": np.full((frames, 2), index, np.float32)},
            )
            added += 1
    return writer.finish()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path / "store")
    return tmp_path / "store"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def opened(path: Path, split: str = "train", frames: int = 10, size: int = 16) -> Store:
    return Store(split=split, frames=frames, size=size, path=path)


def test_any_run_of_frames_comes_back(store: Path) -> None:
    source = opened(store)
    assert (len(source), [source.length(index) for index in range(7)]) == (7, [12, 12, 12, 20, 12, 12, 12])
    for index in range(7):
        expected = video(index, 20 if index == 3 else 12)
        np.testing.assert_array_equal(source.clip(index, 1, 11), expected[1:12])
        np.testing.assert_array_equal(source.annotations(index, 2, 3)["actions"], [2, 3, 4])
        np.testing.assert_array_equal(source.annotations(index, 2, 3)["pose"], np.full((3, 2), index))
        assert source.describe(index, 0, 5) == (f"class{index % 2}", f"video {index}")
    assert source.labels == ("class0", "class1")
    assert opened(store, "test").name(1) == "test/1"


def test_shards_are_plain_arrays_of_bounded_size(store: Path) -> None:
    assert sorted(contents(store)) == [
        "index.json",
        *sorted(
            f"{shard}{kind}.npy"
            for shard in ("test-00000", "train-00000", "train-00001", "train-00002")
            for kind in ("", ".actions", ".pose")
        ),
    ]
    shard = np.load(store / "train-00000.npy")
    np.testing.assert_array_equal(shard, np.concatenate([video(0), video(1), video(2)]))


def test_clips_are_resized_where_another_size_is_asked_for(store: Path) -> None:
    assert opened(store, size=8).clip(0, 0, 4).shape == (4, 8, 8, 3)


def test_fingerprint_follows_pixels_and_not_shards_or_place(store: Path, tmp_path: Path) -> None:
    before = opened(store).fingerprint()
    fill(tmp_path / "other", shard_bytes=SHARD * 9)
    assert opened(tmp_path / "other").fingerprint() == before
    fill(tmp_path / "fewer", train=6)
    assert (
        len(
            {
                before,
                opened(store, "test").fingerprint(),
                opened(store, size=8).fingerprint(),
                opened(tmp_path / "fewer").fingerprint(),
            }
        )
        == 4
    )


@pytest.mark.parametrize("stop_after", [0, 1, 3, 4, 7, 8])
def test_an_interrupted_writer_goes_on_to_the_same_bytes(store: Path, stop_after: int, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    assert fill(torn, stop_after=stop_after) is None
    with pytest.raises(DataError, match=r"torn has no index\.json"):
        opened(torn)
    for name in (".train-00009.npy.abc", ".train-00009.json.abc", ".index.json.abc"):
        (torn / name).write_bytes(b"half")
    kept = {name: (torn / name).stat().st_mtime_ns for name in contents(torn) if name.endswith(".npy") and name[0] == "t"}
    fill(torn)
    assert contents(torn) == contents(store)
    assert all((torn / name).stat().st_mtime_ns == before for name, before in kept.items())


def test_a_finished_store_is_left_as_it_is(store: Path) -> None:
    before = contents(store)
    (store / "preparing.json").touch()  # as if killed right after the index was written
    assert fill(store) is not None
    assert contents(store) == before
    with pytest.raises(DataError, match="was made with dataset='test', not 'other'"):
        StoreWriter(store, {"dataset": "other"}, 16)


@pytest.mark.parametrize("name", ["train-00001.npy", "test-00000.npy", "train-00000.actions.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "remove"])
def test_damaged_shards_are_found_when_the_store_is_opened(store: Path, name: str, damage: str) -> None:
    opened(store)  # so that the good file is remembered
    file = store / name
    stamp, whole = file.stat(), bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes({"flip": whole, "cut": whole[:-100], "grow": whole + b"\0"}[damage])
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            opened(store)


def test_files_are_hashed_once_as_long_as_they_stay(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    from vdmbench import file_digests as content

    hashing = content.sha256_of
    monkeypatch.setattr(content, "sha256_of", lambda path: (read.append(path), hashing(path))[1])
    monkeypatch.setattr(content, "SETTLED", 0)  # the files are new
    opened(store), opened(store)
    assert len(read) == len(set(read)) == 12


def test_short_videos_are_refused_by_name(store: Path) -> None:
    with pytest.raises(DataError, match=r"train/0 in .* has 12 frames, and clips of 13 frames were asked for"):
        opened(store, frames=13)


def test_a_test_video_among_the_training_videos_is_refused(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, {}, 16)
    writer.add("train", "a", video(0))
    writer.add("test", "b", video(0))
    with pytest.raises(DataError, match="test video b shows the same as training video a"):
        writer.finish()


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, {}, 16)
    writer.add("train", "a", video(0), annotations={"actions": np.zeros(12)})
    for pixels, rows, said in (
        (video(1, height=20, width=20), {}, "b is 20x20, and this store holds 16x16"),
        (video(1), {"actions": np.zeros(11)}, r"actions of b is float64 \(11,\), and the video has 12 frames"),
        (video(1), {}, "b has the annotations none, and those before it"),
        (video(1), {"actions": np.zeros((12, 2))}, "b has the annotations"),
        (video(1), {"actions": np.array([None] * 12)}, "annotations are numbers"),
    ):
        with pytest.raises(DataError, match=said):
            writer.add("train", "b", pixels, annotations=rows)
    with pytest.raises(DataError, match=r"the test split of .* would be empty"):
        writer.finish()


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index | {"format": 9},
        lambda index: {"format": 1},
        lambda index: index | {"content": "0" * 64},
        lambda index: index | {"videos": index["videos"] | {"train": [index["videos"]["train"][0] | {"start": 999}]}},
        lambda index: index | {"videos": index["videos"] | {"train": [index["videos"]["train"][0] | {"start": -1}]}},
        lambda index: index | {"videos": index["videos"] | {"train": index["videos"]["train"][:1] * 2}},
        lambda index: index | {"size": 8},
    ],
)
def test_an_index_that_cannot_be_true_is_refused(store: Path, change: Any) -> None:
    file = store / "index.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(DataError, match=r"index\.json|listed twice"):
        opened(store)


def test_a_window_of_a_long_video_is_a_view_of_the_file_until_it_is_copied(tmp_path: Path) -> None:
    """One contiguous read: the rows of a window follow one another in the shard."""
    maze = Maze(split="train", frames=300, size=16)
    writer = StoreWriter(tmp_path, {}, 16)
    for split in ("train", "test"):
        writer.add(split, split, Maze(split=split, frames=300, size=16).clip(0, 0, 300))
    writer.finish()
    np.testing.assert_array_equal(opened(tmp_path, frames=256).clip(0, 40, 256), maze.clip(0, 40, 256))
