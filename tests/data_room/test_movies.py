from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data_room.videos import CODECS, counting, number_of, write_movie
from vdmbench.data.files.movies import open_movie
from vdmbench.data.source import DataError

FASTSTART = {"movflags": "faststart"}  # the head before the data, so that a cut leaves it


@pytest.fixture(scope="module", params=[*CODECS, "faststart"])
def movie(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    suffix, options = (".mp4", FASTSTART) if request.param == "faststart" else (request.param, None)
    path = tmp_path_factory.mktemp("movie") / f"clip{suffix}"
    write_movie(path, counting(30), options=options)
    return path


def test_header_tells_frames_and_size(movie: Path) -> None:
    found = open_movie(movie)
    assert (found.frames, found.height, found.width) == (30, 32, 32)


@pytest.mark.parametrize(("start", "frames"), [(0, 30), (0, 1), (7, 9), (10, 5), (29, 1)])
def test_any_run_of_frames_is_found(movie: Path, start: int, frames: int) -> None:
    clip = open_movie(movie).read(start, frames)
    assert clip.dtype == np.uint8
    assert [number_of(frame) for frame in clip] == list(range(start, start + frames))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.8])  # the last tenth may be an index alone
def test_a_movie_that_was_cut_off_is_named(movie: Path, kept: float, tmp_path: Path) -> None:
    cut, whole = tmp_path / movie.name, movie.read_bytes()
    cut.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=rf"{movie.name}.*(cut off|damaged)"):
        open_movie(cut)


def test_frames_that_cannot_be_decoded_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_movie(path, np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8), options=FASTSTART)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3 :] = bytes(len(damaged) - len(damaged) // 3)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"clip\.mp4.*(cut off|damaged)"):
        open_movie(path).read(0, 20)


def test_a_missing_decoder_is_an_error_with_the_install_line(movie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install 'vdmbench\[data\]'"):
        open_movie(movie)
