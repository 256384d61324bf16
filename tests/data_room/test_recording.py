"""Atari and Crafter, with the real engines."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vdmbench.data.files.folder import Folder
from vdmbench.data.recording.atari import Atari
from vdmbench.data.recording.crafter import Crafter
from vdmbench.data.recording.recorder import record
from vdmbench.data.recording.world import World
from vdmbench.data.source import DataError

pytest.importorskip("ale_py", reason="recording Atari needs ale-py: pip install 'vdmbench[record]'")
pytest.importorskip("crafter", reason="recording Crafter needs crafter: pip install 'vdmbench[record]'")
WORLDS = {"breakout": Atari, "seaquest": Atari, "walk": Crafter, "random": Crafter}


def world(name: str, **options: int) -> World:
    kind = WORLDS[name]
    return kind(**{"frames": 30, "size": 24, **options}, **({"game": name} if kind is Atari else {"policy": name}))  # type: ignore


@pytest.mark.parametrize("name", WORLDS)
def test_an_episode_depends_on_seed_and_number_alone(name: str) -> None:
    first, again, other, number = (world(name, seed=seed).play(episode) for seed, episode in ((3, 1), (3, 1), (4, 1), (3, 2)))
    assert first.video.shape == (30, 24, 24, 3)
    assert first.video.dtype == np.uint8
    assert first.video.std() > 5
    np.testing.assert_array_equal(first.video, again.video)
    for annotation, rows in first.annotations.items():
        np.testing.assert_array_equal(rows, again.annotations[annotation])
        assert len(rows) == 30
    assert (first.video != other.video).any()
    assert (first.video != number.video).any()


def test_crafter_does_not_depend_on_where_its_creatures_lie_in_memory() -> None:
    kept = []
    first = Crafter(frames=120, size=9).play(0)
    kept += [object() for _ in range(100_001)]  # so that what is made next lies elsewhere
    np.testing.assert_array_equal(Crafter(frames=120, size=9).play(0).video, first.video)


def test_a_game_that_is_over_begins_anew_and_says_so() -> None:
    played = Atari(frames=400, size=8).play(0)
    assert played.annotations["restarts"].sum() >= 1
    assert not played.annotations["restarts"][0]


def test_a_recording_is_a_set_with_actions_and_a_class(tmp_path: Path) -> None:
    manifest = record(Crafter(frames=8, size=9, seed=1), tmp_path / "crafter", episodes=3, test_fraction=0.3, processes=1)
    assert manifest.counts == {"train": 2, "test": 1}
    source = Folder(split="train", frames=8, size=9, path=tmp_path / "crafter")
    assert source.describe(1, 0, 8) == ("crafter", "crafter")
    expected = Crafter(frames=8, size=9, seed=1).play(1)
    np.testing.assert_array_equal(source.clip(1, 0, 8), expected.video)
    np.testing.assert_array_equal(source.annotations(1, 2, 5)["actions"], expected.annotations["actions"][2:7])
    (tmp_path / "crafter" / "actions" / "train" / "000001.npy").unlink()
    with pytest.raises(DataError, match=r"actions/train/000001\.npy, which manifest\.json lists, is missing"):
        Folder(split="train", frames=8, size=9, path=tmp_path / "crafter")


def test_wrong_options_and_missing_engines_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown game 'doom'; known: .*breakout"):
        Atari(game="doom")
    with pytest.raises(DataError, match="frames must be at least 1, got 0"):
        Crafter(frames=0)
    monkeypatch.setitem(sys.modules, "crafter", None)
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(DataError, match=r"needs the package crafter.*pip install 'vdmbench\[record\]'"):
        record(Crafter(), tmp_path / "new")
    with pytest.raises(DataError, match=r"needs the package ale_py.*pip install 'vdmbench\[record\]'"):
        Atari()
