from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vdmbench.data.files.folder import Folder
from vdmbench.data.manifest import Manifest, Video
from vdmbench.data.source import DataError
from vdmbench.file_digests import sha256_of


def video(seed: int, frames: int = 12, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        (tmp_path / split / "deep").mkdir(parents=True)
    np.save(tmp_path / "train" / "b.npy", video(1))
    np.save(tmp_path / "train" / "a.npy", video(0, frames=20))
    np.savez_compressed(tmp_path / "train" / "deep" / "c.npz", video=video(2), actions=np.zeros(3))
    np.savez(tmp_path / "train" / "deep" / "d.npz", video=video(3))
    np.save(tmp_path / "test" / "a.npy", video(9))
    (tmp_path / "train" / "notes.txt").write_text("not a video")
    return tmp_path


def write_manifest(folder: Path) -> Manifest:
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*.np[yz]")]
    manifest = Manifest(
        {"recorder": "test"}, {name: Video(sha256_of(folder / name), (folder / name).stat().st_size, 12) for name in names}
    )
    manifest.write(folder)
    return manifest


def test_reads_both_formats_in_the_order_of_their_paths(data: Path) -> None:
    source = Folder(split="train", frames=10, size=16, path=data)
    assert [source.name(index) for index in range(len(source))] == [
        "train/a.npy",
        "train/b.npy",
        "train/deep/c.npz",
        "train/deep/d.npz",
    ]
    assert [source.length(index) for index in range(4)] == [20, 12, 12, 12]
    for index, seed in enumerate([0, 1, 2, 3]):
        expected = video(seed, frames=source.length(index))
        np.testing.assert_array_equal(source.clip(index, 2, 10), expected[2:12])
        np.testing.assert_array_equal(source.clip(index, 11, 1), expected[11:12])
    assert len(Folder(split="test", frames=10, size=16, path=str(data))) == 1


def test_clips_are_resized_on_reading(data: Path) -> None:
    clip = Folder(split="train", frames=4, size=8, path=data).clip(0, 0, 4)
    boxes = video(0, frames=20)[:4].reshape(4, 8, 2, 8, 2, 3).astype(np.float64).mean(axis=(2, 4))
    assert np.abs(clip - boxes).max() <= 0.5001


def test_fingerprint_follows_content_and_not_place_or_manifest(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def fingerprint(**options: object) -> str:
        return Folder(**{"split": "train", "frames": 4, "size": 16, "path": data, **options}).fingerprint()

    before = fingerprint()
    moved = tmp_path_factory.mktemp("elsewhere") / "data"
    data.rename(moved)
    assert fingerprint(path=moved) == before
    write_manifest(moved)  # which gives all videos a class
    assert fingerprint(path=moved) != before
    (moved / "manifest.json").unlink()
    assert fingerprint(path=moved, split="test") != before
    assert fingerprint(path=moved, size=8) != before
    np.save(moved / "train" / "b.npy", video(77))
    assert fingerprint(path=moved) != before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (video(0, frames=3), r"bad\.npy has 3 frames, and clips of 10 frames"),
        (video(0).astype(np.float32), r"bad\.npy is float32"),
        (video(0)[..., :1], r"bad\.npy has shape \(12, 16, 16, 1\)"),
        (video(0)[0], r"bad\.npy has shape \(16, 16, 3\)"),
        (video(0, height=20), r"bad\.npy is 20x16 and .*a\.npy is 16x16"),
    ],
)
def test_unusable_videos_are_named(data: Path, content: np.ndarray, said: str) -> None:
    np.save(data / "train" / "bad.npy", content)
    with pytest.raises(DataError, match=said):
        Folder(split="train", frames=10, size=16, path=data)


@pytest.mark.parametrize("kept", [0, 5, 100, 5000])
@pytest.mark.parametrize("name", ["train/b.npy", "train/deep/d.npz"])
def test_torn_files_are_named(data: Path, name: str, kept: int) -> None:
    whole = (data / name).read_bytes()
    (data / name).write_bytes(whole[:kept])
    with pytest.raises(DataError, match=Path(name).name):
        Folder(split="train", frames=10, size=16, path=data)


def test_pickles_are_never_loaded(data: Path) -> None:
    np.save(data / "train" / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"evil\.npy"):
        Folder(split="train", frames=10, size=16, path=data)


def test_a_test_video_that_is_a_training_video_is_named(data: Path) -> None:
    np.save(data / "test" / "copy.npy", video(1))
    Folder(split="train", frames=10, size=16, path=data)
    with pytest.raises(DataError, match=r"test/copy\.npy has the same content as train/b\.npy; test videos are never"):
        Folder(split="test", frames=10, size=16, path=data)


def test_archive_without_video_is_named(data: Path) -> None:
    np.savez(data / "train" / "e.npz", frames=video(0))
    with pytest.raises(DataError, match=r"e\.npz has no array 'video', but frames"):
        Folder(split="train", frames=10, size=16, path=data)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder; record one"):
        Folder(split="train", frames=1, size=8, path=tmp_path / "none")
    with pytest.raises(DataError, match="no folder train/"):
        Folder(split="train", frames=1, size=8, path=tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "clip.wmv").touch()
    with pytest.raises(DataError, match=r"no \.npy, \.npz, .* files and no folders of images, but \.wmv"):
        Folder(split="train", frames=1, size=8, path=tmp_path)


def test_subfolders_are_classes_and_other_arrays_annotations(data: Path) -> None:
    source = Folder(split="train", frames=10, size=16, path=data)
    assert source.labels == ("deep",)
    assert (source.describe(0, 0, 10), source.describe(2, 0, 10)) == (None, ("deep", "deep"))
    assert source.annotations(0, 0, 10) == source.annotations(3, 0, 10) == {}
    with pytest.raises(DataError, match=r"actions of .*c\.npz has shape \(3,\), and the video has 12 frames"):
        source.annotations(2, 0, 10)
    np.savez(data / "train" / "deep" / "c.npz", video=video(2), actions=np.arange(12))
    again = Folder(split="train", frames=10, size=16, path=data)
    np.testing.assert_array_equal(again.annotations(2, 2, 3)["actions"], [2, 3, 4])


class TestLists:
    """As UCF101 comes: folders of classes, and two lists."""

    @pytest.fixture
    def listed(self, tmp_path: Path) -> Path:
        for label in ("ApplyEyeMakeup", "Archery"):
            (tmp_path / label).mkdir()
            for number in range(2):
                np.save(tmp_path / label / f"{number}.npy", video(len(label) + number))
        (tmp_path / "train.txt").write_text("ApplyEyeMakeup/0.npy 1\nArchery/1.npy 2\n\n")
        (tmp_path / "test.txt").write_text("ApplyEyeMakeup/1.npy\n")
        return tmp_path

    def test_lists_decide_the_split(self, listed: Path) -> None:
        train, test = (Folder(split=split, frames=10, size=16, path=listed) for split in ("train", "test"))
        assert [train.name(0), train.name(1), test.name(0)] == ["ApplyEyeMakeup/0.npy", "Archery/1.npy", "ApplyEyeMakeup/1.npy"]
        assert train.describe(0, 0, 1) == ("ApplyEyeMakeup", "apply eye makeup")

    @pytest.mark.parametrize(
        ("test", "said"),
        [
            ("Archery/1.npy\n", r"test\.txt:1 lists Archery/1\.npy, which train\.txt:2 lists already"),
            ("Archery/0.npy\nArchery/0.npy\n", r"test\.txt:2 lists Archery/0\.npy, which test\.txt:1 lists already"),
            ("Archery/7.npy\n", r"test\.txt:1 lists Archery/7\.npy, which is not in"),
            ("../secret.npy\n", r"test\.txt:1 lists \.\./secret\.npy, which is not in"),
        ],
    )
    def test_wrong_lists_are_named(self, listed: Path, test: str, said: str) -> None:
        (listed / "test.txt").write_text(test)
        np.save(listed.parent / "secret.npy", video(0))
        with pytest.raises(DataError, match=said):
            Folder(split="train", frames=10, size=16, path=listed)

    def test_both_lists_are_needed(self, listed: Path) -> None:
        (listed / "test.txt").unlink()
        with pytest.raises(DataError, match=r"has no test\.txt"):
            Folder(split="train", frames=10, size=16, path=listed)


class TestManifest:
    def test_good_files_pass(self, data: Path) -> None:
        write_manifest(data)
        source = Folder(split="train", frames=10, size=16, path=data)
        np.testing.assert_array_equal(source.clip(1, 0, 10), video(1)[:10])

    def test_changed_content_is_found_when_the_set_is_opened(self, data: Path) -> None:
        write_manifest(data)
        before = (data / "train" / "b.npy").stat()
        Folder(split="train", frames=10, size=16, path=data)
        np.save(data / "train" / "b.npy", video(5))  # of the same size in bytes
        os.utime(data / "train" / "b.npy", ns=(before.st_atime_ns, before.st_mtime_ns))
        for _ in range(2):
            with pytest.raises(DataError, match=r"b\.npy is not the file that manifest\.json lists"):
                Folder(split="train", frames=10, size=16, path=data)

    def test_missing_additional_and_shortened_files_are_named(self, data: Path) -> None:
        write_manifest(data)
        extra = data / "train" / "z.npy"
        np.save(extra, video(8))
        with pytest.raises(DataError, match=r"z\.npy, which manifest\.json does not list"):
            Folder(split="train", frames=10, size=16, path=data)
        extra.unlink()
        np.save(data / "train" / "b.npy", video(1, frames=11))
        with pytest.raises(DataError, match=r"b\.npy has \d+ bytes"):
            Folder(split="train", frames=10, size=16, path=data)
        (data / "train" / "b.npy").unlink()
        with pytest.raises(DataError, match=r"b\.npy, which manifest\.json lists, is missing"):
            Folder(split="train", frames=10, size=16, path=data)

    def test_an_edited_manifest_is_refused(self, data: Path) -> None:
        manifest = write_manifest(data)
        file = data / "manifest.json"
        file.write_text(file.read_text().replace(manifest.videos["train/b.npy"].sha256, "0" * 64))
        with pytest.raises(DataError, match="has been edited"):
            Folder(split="train", frames=10, size=16, path=data)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 9}'])
    def test_a_broken_manifest_is_refused(self, data: Path, content: str) -> None:
        (data / "manifest.json").write_text(content)
        with pytest.raises(DataError, match=r"manifest\.json"):
            Folder(split="train", frames=10, size=16, path=data)

    def test_a_test_video_among_the_training_videos_is_refused(self, data: Path) -> None:
        np.save(data / "test" / "a.npy", video(1))
        with pytest.raises(DataError, match=r"test/a\.npy has the same content as train/b\.npy"):
            write_manifest(data)
