"""A folder of videos replaced between an interruption and the command that would go on: told through the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_lost_sessions import MAIN, until_it_trains
from tests.suite.texts import MINIMAL
from vdmbench.records import ResultsFolder

DATA = "data.source={name: folder, path: videos}"
OPTIONS = ["--results", "r", "--only", "floor", "run.device=cpu", "train.steps=40", "run.checkpoint_every=5", DATA]


def make_videos(folder: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for split, count in (("train", 4), ("test", 16)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            np.save(folder / split / f"{number}.npy", draw.integers(0, 255, (20, 16, 16, 3), dtype=np.uint8))


def begin(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "run", "s.yaml", *OPTIONS]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def again(folder: Path) -> tuple[int, str, list[str]]:
    """The same command: its exit code, what it said, and the statuses of all attempts, oldest first."""
    process = begin(folder)
    _, err = process.communicate(timeout=300)
    (history,) = ResultsFolder(folder / "r").histories()
    return process.returncode, err, [record.status for record in history.attempts]


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_training_goes_on_with_the_videos_that_it_began_with_and_with_no_others(tmp_path):
    """It is refused with others, in a line that says how to begin anew; with the old ones back it goes on."""
    (tmp_path / "s.yaml").write_text(MINIMAL)
    make_videos(tmp_path / "videos", 1)
    process = begin(tmp_path)
    until_it_trains(process, tmp_path / "r")
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=100), process.returncode)[1] == 143

    (tmp_path / "videos").rename(tmp_path / "old")
    make_videos(tmp_path / "videos", 2)
    code, err, statuses = again(tmp_path)
    assert (code, statuses) == (1, ["interrupted", "error"]), err
    (history,) = ResultsFolder(tmp_path / "r").histories()
    refusal = history.latest.message
    assert "\n" not in refusal
    assert "train videos were" in refusal
    assert f"delete r/cells/{history.identity}/checkpoint and run again to begin anew" in refusal
    assert "training cannot go on from step-" in err

    (tmp_path / "videos").rename(tmp_path / "others")
    (tmp_path / "old").rename(tmp_path / "videos")
    code, err, statuses = again(tmp_path)
    assert (code, statuses) == (3, ["interrupted", "error", "ok"]), err  # other cells were not selected
    assert "goes on from the checkpoint of step" in err
