"""What a line of train.txt may look like."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.data_room.videos import video
from vdmbench.data.files.folder import Folder
from vdmbench.data.files.lists import listed
from vdmbench.data.source import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("run/a", "run/clip 0", "run/b", "c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"{name}.npy", video(number))
    (tmp_path / "test.txt").write_text("c.npy\n")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"run/a.npy\r\nrun/b.npy\r\n", ["run/a.npy", "run/b.npy"]),
        (b"\xef\xbb\xbfrun/a.npy\n", ["run/a.npy"]),
        (b"run/a.npy\t3\n", ["run/a.npy"]),
        (b"run/a.npy  3 walk\n", ["run/a.npy"]),
        (b"run/clip 0.npy\n", ["run/clip 0.npy"]),
        (b"run/clip 0.npy 7\n", ["run/clip 0.npy"]),
        (b"  run/a.npy  \n\n# of a class\n", ["run/a.npy"]),
        (b"run\\a.npy 1\n", ["run/a.npy"]),
        (b"./run/../run//a.npy\n", ["run/a.npy"]),
    ],
)
def test_a_line_is_read_as_it_is_meant(root: Path, content: bytes, names: list[str]) -> None:
    (root / "train.txt").write_bytes(content)
    assert listed(root, "train") == names
    assert Folder(split="train", frames=4, size=16, path=root).labels == ("run",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("./c.npy", "lists c.npy, which train.txt:1 lists already"),
        ("run/../c.npy", "lists c.npy, which train.txt:1 lists already"),
        ("link.npy", "lists link.npy, which train.txt:1 lists already as c.npy"),
        ("hard.npy", "lists hard.npy, which train.txt:1 lists already as c.npy"),
        ("copy.npy", "copy.npy has the same content as c.npy"),
        ("frames2", "frames2 has the same content as frames1"),
        ("../outside.npy", "which is not in"),
        ("absent.npy", "which is not in"),
    ],
)
def test_a_training_video_is_known_in_the_test_list_under_any_name(root: Path, line: str, said: str) -> None:
    from PIL import Image

    os.symlink("c.npy", root / "link.npy")
    os.link(root / "c.npy", root / "hard.npy")
    (root / "copy.npy").write_bytes((root / "c.npy").read_bytes())
    np.save(root.parent / "outside.npy", video(9))
    for folder in ("frames1", "frames2"):
        (root / folder).mkdir()
        for number, frame in enumerate(video(5)):
            Image.fromarray(frame).save(root / folder / f"{folder}-{number}.png")
    (root / "train.txt").write_text("c.npy\nframes1\n")
    (root / "test.txt").write_text(f"run/b.npy\n{line}\n")
    with pytest.raises(DataError, match=said):
        Folder(split="test", frames=4, size=16, path=root)


def test_text_of_another_encoding_is_refused_by_name(root: Path) -> None:
    (root / "train.txt").write_bytes("run/a.npy\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"train\.txt is no UTF-8 text"):
        listed(root, "train")
