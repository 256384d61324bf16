"""``vdmbench data``: from recording to verifying, as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vdmbench.data.store.store import Store


@pytest.fixture
def recording(vdmbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("crafter", reason="recording Crafter needs crafter: pip install 'vdmbench[record]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "crafter"
    options = ("--episodes", 3, "--frames", 20, "--size", 16, "--processes", 1)
    outcome = vdmbench("data", "record", "crafter", *options, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{out}: 2 train and 1 test episodes of 20 frames, content ")
    return out


def test_record_prepare_look_and_verify(vdmbench, recording, tmp_path):
    store = tmp_path / "store"
    outcome = vdmbench("data", "prepare", "folder", "--from", recording, "--out", store, "--size", 8)
    assert outcome.code == 0
    assert "2 train and 1 test videos of 8x8" in outcome.out
    assert Store(split="train", frames=20, size=8, path=store).describe(0, 0, 20) == ("crafter", "crafter")

    outcome = vdmbench("data", "info", store, "--json")
    found = json.loads(outcome.out)
    assert (found["kind"], found["size"], found["annotations"]) == ("store", 8, ["actions"])
    assert found["splits"]["train"]["labels"] == {"crafter": 2}
    assert found["origin"]["recorded"]["recorder"] == "crafter"
    assert "recording of 16x16 pixels" in vdmbench("data", "info", recording).out

    outcome = vdmbench("data", "preview", store, "--out", tmp_path / "seen", "--split", "train", "--frames", 12)
    assert outcome.out.splitlines()[0] == "row 1: train/000000.npy – crafter: crafter"
    with Image.open(tmp_path / "seen" / "sheet.png") as sheet, Image.open(tmp_path / "seen" / "clips.gif") as clips:
        assert sheet.size[0] > sheet.size[1]
        assert clips.n_frames == 12

    assert vdmbench("data", "verify", store).out.startswith(f"{store}: no faults; train 2 videos, 40 frames, test 1 videos")
    assert json.loads(vdmbench("data", "verify", recording, "--json").out)["ok"]


def test_faults_end_with_exit_code_1(vdmbench, recording):
    file = recording / "test" / "000002.npy"
    np.save(file, np.load(recording / "train" / "000000.npy"))
    outcome = vdmbench("data", "verify", recording)
    assert outcome.code == 1
    assert "fault: " in outcome.out
    assert "000002.npy is not the file that the manifest lists" in outcome.out


def test_procedural_sets_have_previews_and_captions(vdmbench, tmp_path):
    outcome = vdmbench("data", "preview", "sprites", "--out", tmp_path, "--frames", 4, "--videos", 2, "--size", 16)
    assert outcome.code == 0
    assert outcome.out.count(" moving ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("info", "nowhere"), "nowhere: no such folder"),
        (("verify", "nowhere"), "nowhere: no such folder"),
        (("prepare", "folder", "--out", "store"), "give either a file or folder (--from) or ask for a download (--download)"),
        (("prepare", "mazes", "--from", ".", "--out", "store"), "unknown data source 'mazes', did you mean 'maze'?"),
        (("record", "vizdoom", "--scenario", "doom3", "--out", "new"), "unknown scenario 'doom3'; known: my_way_home, "),
    ],
)
def test_errors_are_one_line(vdmbench, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = vdmbench("data", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {said}")
    assert outcome.err.count("\n") == 1
