from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data_room.videos import counting, number_of, video
from vdmbench.data.files.folder import Folder
from vdmbench.data.files.images import open_gif
from vdmbench.data.source import DataError


def write_images(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame{number}.png")


def write_gif(path: Path, frames: np.ndarray) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], optimize=False)


def test_a_folder_of_images_is_a_video_in_natural_order(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "walk" / "a", video(0))
    write_images(tmp_path / "train" / "walk" / "b", video(1))
    (tmp_path / "train" / "walk" / "b" / "notes.txt").touch()
    source = Folder(split="train", frames=12, size=16, path=tmp_path)
    assert [source.name(index) for index in range(len(source))] == ["train/walk/a", "train/walk/b"]
    np.testing.assert_array_equal(source.clip(1, 1, 11), video(1)[1:])  # frame10 comes after frame9
    assert source.labels == ("walk",)
    before = source.fingerprint()
    Image.fromarray(video(2)[0]).save(tmp_path / "train" / "walk" / "b" / "frame11.png")
    assert Folder(split="train", frames=12, size=16, path=tmp_path).fingerprint() != before


def test_images_of_other_sizes_are_named(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "a", video(0))
    Image.fromarray(video(0, height=20)[0]).save(tmp_path / "train" / "a" / "frame5.png")
    with pytest.raises(DataError, match=r"frame5\.png is 20x16 and frame0\.png is 16x16"):
        Folder(split="train", frames=2, size=16, path=tmp_path)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "a", video(0))
    file = tmp_path / "train" / "a" / "frame3.png"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"frame3\.png cannot be read"):
        Folder(split="train", frames=2, size=16, path=tmp_path).clip(0, 0, 12)
    file.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"frame3\.png cannot be read \(no image"):
        Folder(split="train", frames=2, size=16, path=tmp_path)


def test_videos_beside_single_images_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "a", video(0))
    np.save(tmp_path / "train" / "a" / "clip.npy", video(0))
    with pytest.raises(DataError, match=r"holds both videos \(clip\.npy\) and images"):
        Folder(split="train", frames=2, size=16, path=tmp_path)


def test_gifs_are_read_from_any_frame(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", counting(9))
    found = open_gif(tmp_path / "a.gif")
    assert (found.frames, found.height, found.width) == (9, 32, 32)
    assert [number_of(frame) for frame in found.read(4, 5)] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.99])
def test_a_gif_that_was_cut_off_is_named(tmp_path: Path, kept: float) -> None:
    write_gif(tmp_path / "a.gif", video(0))
    whole = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    with pytest.raises(DataError, match=r"a\.gif"):
        open_gif(tmp_path / "a.gif")
