"""Recording with the real engine; small, for each episode starts a game."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from jaxtyping import TypeCheckError

import vdmbench
from vdmbench.data.files.folder import Folder
from vdmbench.data.manifest import Manifest
from vdmbench.data.recording.recorder import record
from vdmbench.data.recording.vizdoom import ViZDoom
from vdmbench.data.source import DataError

WORLD = ViZDoom(frames=20, size=32, seed=5)
OPTIONS: dict[str, Any] = {"episodes": 3, "test_fraction": 0.3, "processes": 2}
pytest.importorskip("vizdoom", reason="recording needs ViZDoom: pip install 'vdmbench[record]'")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "maze"
    record(WORLD, out, **OPTIONS)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_recording_is_a_folder_of_videos(recorded: Path) -> None:
    assert sorted(contents(recorded)) == [
        "actions/test/000002.npy",
        "actions/train/000000.npy",
        "actions/train/000001.npy",
        "manifest.json",
        "test/000002.npy",
        "train/000000.npy",
        "train/000001.npy",
    ]
    train, test = (Folder(split=split, frames=20, size=32, path=recorded) for split in ("train", "test"))
    assert (len(train), len(test)) == (2, 1)
    assert train.clip(0, 0, 20).shape == (20, 32, 32, 3)
    stored = json.loads((recorded / "manifest.json").read_text())
    assert stored["counts"] == {"train": 2, "test": 1}
    assert stored["origin"]["scenario"] == "my_way_home"
    assert stored["origin"]["engine"].startswith("vizdoom 1.")


def test_videos_move_and_differ(recorded: Path) -> None:
    videos = [np.load(file).astype(np.float64) for file in sorted(recorded.glob("t*/*.npy"))]
    assert all(video.std() > 5 for video in videos)
    assert all((np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3)) > 0.5).mean() > 0.8 for video in videos)
    assert np.abs(videos[0] - videos[1]).mean() > 5


def test_resuming_keeps_finished_episodes_and_gives_the_same_recording(recorded: Path, tmp_path: Path) -> None:
    """What an interruption leaves: some episodes, the declared options, a torn temporary file, and no manifest."""
    before = contents(recorded)
    out = tmp_path / "interrupted"
    (out / "train").mkdir(parents=True)
    (out / "actions" / "train").mkdir(parents=True)
    for name in ("actions/train/000001.npy", "train/000001.npy"):
        (out / name).write_bytes(before[name])
    os.utime(out / "train" / "000001.npy", (1, 1))
    (out / "train" / ".000000.npy.torn").write_bytes(b"half")
    (out / "recording.json").write_text(json.dumps(Manifest.read(recorded).origin))
    told: list[int] = []

    record(WORLD, out, **{**OPTIONS, "processes": 1}, progress=told.append)

    assert contents(out) == before
    assert (out / "train" / "000001.npy").stat().st_mtime == 1
    assert told == [1, 2, 3]


def test_a_finished_recording_is_left_as_it_is(recorded: Path) -> None:
    before = contents(recorded)
    told: list[int] = []
    manifest = record(WORLD, recorded, **OPTIONS, progress=told.append)
    assert contents(recorded) == before
    assert told == [3]
    assert manifest.counts == {"train": 2, "test": 1}
    assert manifest.content == Manifest.read(recorded).content


def test_a_finished_recording_whose_file_has_changed_is_not_signed_anew(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(recorded, out)
    np.save(out / "train" / "000001.npy", np.zeros((20, 32, 32, 3), np.uint8))
    with pytest.raises(DataError, match=r"000001\.npy is not the file that manifest\.json lists; delete it"):
        record(WORLD, out, **OPTIONS)
    (out / "train" / "000001.npy").unlink()
    record(WORLD, out, **OPTIONS)
    assert contents(out) == contents(recorded)


def heed_interrupts() -> None:
    """As from a terminal: a test run that was itself started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_recorder_leaves_no_process_and_can_be_resumed(number: signal.Signals, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"episodes": 20, "test_fraction": 0.1, "processes": 2}
    script = tmp_path / "script.py"
    script.write_text(
        "from vdmbench.data.recording.recorder import record\n"
        "from vdmbench.data.recording.vizdoom import ViZDoom\nif __name__ == '__main__':\n"
        f"    record(ViZDoom(frames=200, size=32), {str(out)!r}, **{options!r},\n"
        "           progress=lambda done: print(done, flush=True))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(vdmbench.__file__).parents[1])}
    recorder = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    assert recorder.stdout is not None
    shared_before = set(Path("/dev/shm").glob("ViZDoom*"))
    with recorder, recorder.stdout as said:
        next(line for line in said if int(line) >= 2)
        family = psutil.Process(recorder.pid).children(recursive=True)
        if number is signal.SIGINT:
            os.killpg(recorder.pid, number)  # as a terminal does it
        else:
            recorder.send_signal(number)
        recorder.wait(60)
        _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert set(Path("/dev/shm").glob("ViZDoom*")) <= shared_before
    assert recorder.returncode != 0
    assert not (out / "manifest.json").exists()
    kept = len([file for file in out.glob("t*/*.npy") if not file.name.startswith(".")])
    assert 2 <= kept < 20

    told: list[int] = []
    record(ViZDoom(frames=200, size=32), out, **options, progress=told.append)
    assert told[0] == kept
    assert not [file for file in out.rglob(".*")]
    assert len(Folder(split="train", frames=200, size=32, path=out)) == 18
    assert not list(tmp_path.glob("_vizdoom*"))


def test_other_options_are_refused(recorded: Path) -> None:
    before = contents(recorded)
    with pytest.raises(DataError, match="was made with seed=5, not 6"):
        record(replace(WORLD, seed=6), recorded, **OPTIONS)
    assert contents(recorded) == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataError, match="holds something else than what is to be made"):
        record(WORLD, tmp_path, **OPTIONS)
    assert sorted(contents(tmp_path)) == ["thesis.tex"]


@pytest.mark.parametrize("scenario", ["health_gathering_supreme", "deathmatch"])
@pytest.mark.parametrize("policy", ["smooth-walk", "random"])
def test_every_scenario_and_policy_is_deterministic(
    scenario: str, policy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the engine writes into the working directory
    first, again, other = (
        ViZDoom(scenario=scenario, policy=policy, seed=seed, frames=12, size=24).play(0) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.video, again.video)
    np.testing.assert_array_equal(first.annotations["actions"], again.annotations["actions"])
    assert (first.video != other.video).any()
    assert first.video.std() > 5
    assert first.annotations["actions"].shape == (12, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scenario": "doom3"}, "unknown scenario 'doom3'; known: my_way_home"),
        ({"policy": "run"}, "policy.*'run'"),
        ({"test_fraction": 1.0}, "3 of 3 test episodes"),
        ({"size": 900}, "size lies between 1 and 800"),
        ({"frame_skip": 0}, "frame_skip must be at least 1"),
        ({"processes": 0}, "processes must be at least 1"),
    ],
)
def test_wrong_options_leave_nothing_behind(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, TypeCheckError), match=said):
        record(
            ViZDoom(**{name: value for name, value in wrong.items() if name not in OPTIONS}),
            tmp_path / "new",
            **{**OPTIONS, **{name: value for name, value in wrong.items() if name in OPTIONS}},
        )
    assert not (tmp_path / "new").exists()


def test_a_missing_engine_is_an_error_with_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(DataError, match=r"pip install 'vdmbench\[record\]'"):
        record(WORLD, tmp_path / "new", **OPTIONS)
