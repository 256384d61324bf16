from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.data_room.videos import video as noise
from vdmbench.data.preparing.prepare import prepare
from vdmbench.data.preparing.survey import survey
from vdmbench.data.preparing.verify import verify
from vdmbench.data.source import DataError
from vdmbench.data.store.writer import StoreWriter


def video(seed: int) -> np.ndarray:
    return noise(seed, frames=40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("test", 5)):
        (tmp_path / "raw" / split / "noise").mkdir(parents=True)
        for index in range(3):
            np.save(tmp_path / "raw" / split / "noise" / f"{index}.npy", video(first + index))
    return tmp_path / "raw"


def test_a_sound_set_has_no_faults(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify(folder, progress=lambda done, total: told.append((done, total)))
    assert verdict.ok
    assert (verdict.videos, verdict.frames) == ({"train": 3, "test": 3}, {"train": 120, "test": 120})
    assert told == [(done, 6) for done in range(1, 7)]
    prepare("folder", tmp_path / "store", source=folder)
    prepared = verify(tmp_path / "store")
    assert prepared.ok
    assert prepared.content is not None


@pytest.mark.parametrize(
    ("leak", "said"),
    [
        (video(1), r"leak\.npz shows the same as .*1\.npy; test videos are never trained on"),
        (np.concatenate([video(1)[4:], video(2)[:20]]), r"leak\.npz has 100% of its frames in common with training videos"),
        (np.concatenate([video(77)[:20], video(1)[20:]]), r"leak\.npz has 50% of its frames in common"),
        (video(6), r"leak\.npz shows the same as .*1\.npy; the test split holds it twice"),
    ],
)
def test_leaks_and_doubles_are_found(folder: Path, leak: np.ndarray, said: str) -> None:
    np.savez(folder / "test" / "noise" / "leak.npz", video=leak)  # other bytes, the same pixels
    (fault,) = verify(folder).faults
    assert re.search(said, fault)


def test_a_few_common_frames_and_stills_are_no_leak(folder: Path) -> None:
    np.save(folder / "test" / "noise" / "new.npy", np.concatenate([video(1)[:19], video(77)[:21]]))
    for split, last in (("train", 8), ("test", 9)):
        np.save(folder / split / "noise" / "still.npy", np.concatenate([np.zeros_like(video(0)), video(last)[:5]]))
        np.save(folder / split / "noise" / "mixed.npy", video(1)[np.random.default_rng(last).permutation(40)])
    assert verify(folder).ok


def test_everything_is_read_whatever_is_remembered(folder: Path, tmp_path: Path) -> None:
    prepare("folder", tmp_path / "store", source=folder)
    survey(tmp_path / "store")
    shard = tmp_path / "store" / "train-00000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    with shard.open("r+b") as file:
        file.write(content)
    (fault,) = verify(tmp_path / "store").faults
    assert "train-00000.npy is not the file that index.json lists" in fault


def test_an_incomplete_published_set_is_a_fault(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store", {"dataset": "minerl-navigate"}, 16)
    for split, seed in (("train", 0), ("test", 1)):
        writer.add(split, split, video(seed))
    writer.finish()
    assert verify(tmp_path / "store").faults == [
        "the train split holds 1 videos, and MineRL Navigate as published has 961",
        "the test split holds 1 videos, and MineRL Navigate as published has 225",
    ]


def test_annotations_that_do_not_fit_are_a_fault(folder: Path) -> None:
    np.savez(folder / "train" / "noise" / "z.npz", video=video(50), actions=np.zeros(39))
    (fault,) = verify(folder).faults
    assert "actions of" in fault
    assert "the video has 40 frames" in fault


def test_a_set_that_cannot_be_opened_is_one_fault(folder: Path, tmp_path: Path) -> None:
    np.save(folder / "train" / "noise" / "0.npy", np.zeros(3))
    (fault,) = verify(folder).faults
    assert "0.npy is float64" in fault
    with pytest.raises(DataError, match="no such folder"):
        verify(tmp_path / "nowhere")


def test_survey_counts_without_reading(folder: Path, tmp_path: Path) -> None:
    found = survey(folder)
    assert (found.kind, found.size, found.annotations) == ("folder", 16, ())
    assert (found.splits["train"].videos, found.splits["train"].shortest) == (3, 40)
    assert found.splits["test"].labels == {"noise": 3}
    index = prepare("folder", tmp_path / "store", source=folder)
    found = survey(tmp_path / "store")
    assert found.kind == "store"
    assert found.origin == json.loads((tmp_path / "store" / "index.json").read_text())["origin"] == dict(index.origin)
