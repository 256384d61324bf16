from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from PIL import Image

from vdmbench.data.procedural.maze import Maze
from vdmbench.data.source import DataError
from vdmbench.data.viewing import tile, write_contact_sheet, write_gif


def test_gif_reads_back_as_the_video(tmp_path: Path) -> None:
    video = Maze(split="train", frames=12, size=32).clip(0, 0, 12)
    write_gif(tmp_path / "clip.gif", video, frames_per_second=20, enlarge=2)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 12
        assert image.size == (64, 64)
        assert image.info["duration"] == 50
        assert image.info["loop"] == 0
        for number in range(12):
            image.seek(number)
            frame = np.asarray(image.convert("RGB"))[::2, ::2]
            assert np.abs(frame.astype(int) - video[number]).mean() < 6  # 256 colours for all


def test_contact_sheet_has_a_row_a_video_and_a_column_a_frame(tmp_path: Path) -> None:
    videos = np.random.default_rng(0).integers(0, 256, (2, 7, 8, 10, 3), dtype=np.uint8)
    write_contact_sheet(tmp_path / "sheet.png", videos, every=3, gap=1)
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape == (2 * 8 + 1, 3 * 10 + 2, 3)
    np.testing.assert_array_equal(sheet[9:, 22:], videos[1, 6])
    assert (sheet[8] == 255).all()


def test_tile_lays_videos_out_row_by_row() -> None:
    videos = np.random.default_rng(0).integers(0, 255, (5, 3, 4, 4, 3), dtype=np.uint8)
    grid = tile(videos)
    assert grid.shape == (3, 2 * 4 + 2, 3 * 4 + 2 * 2, 3)
    np.testing.assert_array_equal(grid[:, 6:, 6:10], videos[4])
    assert (grid[:, 6:, 12:] == 255).all()
    assert tile(videos, columns=5, gap=0).shape == (3, 4, 20, 3)


def test_wrong_pictures_are_refused(tmp_path: Path) -> None:
    good = np.zeros((2, 4, 4, 3), np.uint8)
    for wrong in (good.astype(np.float32), good[0], good[..., :1], good[:0]):
        with pytest.raises((DataError, TypeCheckError), match=r"uint8 \(frames, height, width, 3\)|UInt8\["):
            write_gif(tmp_path / "clip.gif", wrong)
    with pytest.raises(DataError, match="frames_per_second"):
        write_gif(tmp_path / "clip.gif", good, frames_per_second=0)
    with pytest.raises(DataError, match="enlarge"):
        write_gif(tmp_path / "clip.gif", good, enlarge=0)
    with pytest.raises(DataError, match="columns"):
        tile(good[None], columns=0)
    with pytest.raises(DataError, match="every"):
        write_contact_sheet(tmp_path / "sheet.png", good[None], every=0)
    assert not list(tmp_path.iterdir())
