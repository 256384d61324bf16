"""Record real video from the ViZDoom engine into a folder that :class:`vdmbench.data.folder.Folder` reads.

While it records, ``recording.json`` holds the declared options, and each finished episode is a whole file; ``manifest.json``
replaces it at the end. Recording into the same folder again goes on where it stopped, and refuses other options.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

import vdmbench
from vdmbench.data.manifest import MANIFEST, Manifest, Video, sha256_of, whole_file, write_json
from vdmbench.data.source import SPLITS, DataError
from vdmbench.data.vizdoom_episode import MAX_SIZE, POLICIES, SCENARIOS, Policy, engine, play

RECORDING = "recording.json"
_playing = threading.Lock()


def record(out: Path | str, *, scenario: str = "my_way_home", episodes: int = 250, test_fraction: float = 0.2,
           frames: int = 300, size: int = 64, seed: int = 0, frame_skip: int = 2, policy: Policy = "smooth-walk",
           processes: int | None = None, progress: Callable[[int], None] | None = None) -> Manifest:
    """Record episodes as ``out/train/*.npy`` and ``out/test/*.npy``, uint8 (frames, size, size, 3), and a manifest of them.

    Episode i depends only on the options and i, whatever the number of processes.

    Args:
        scenario: one of :data:`vdmbench.data.vizdoom_episode.SCENARIOS`.
        episodes: of both splits together.
        test_fraction: share of them, the last ones, that goes to ``test/``; rounded, and at least one.
        frames: of each episode.
        size: height and width, in pixels.
        frame_skip: tics (1/35 s) from one frame to the next.
        policy: ``smooth-walk`` keeps walking and turns before walls, ``random`` presses random keys.
        processes: that record at once; by default one for each core.
        progress: called with the number of finished episodes, at the start and after each.

    Raises:
        DataError: where ViZDoom is missing, an option cannot be met, or ``out`` holds something else.
    """
    test_episodes = max(1, round(episodes * test_fraction))
    _check(scenario, episodes, test_episodes, frames, size, seed, frame_skip, policy, processes)
    origin = {"recorder": "vizdoom", "engine": f"vizdoom {engine().__version__}", "vdmbench": vdmbench.__version__,
              "scenario": scenario, "episodes": episodes, "test_episodes": test_episodes, "frames": frames, "size": size,
              "seed": seed, "frame_skip": frame_skip, "policy": policy}
    folder = Path(out)
    files = {episode: f"{'train' if episode < episodes - test_episodes else 'test'}/{episode:06d}.npy"
             for episode in range(episodes)}
    finished = _open(folder, origin)

    shape = (frames, size, size, 3)
    missing = [episode for episode, name in files.items() if not _is_whole(folder / name, shape)]
    tell = progress or (lambda done: None)
    tell(episodes - len(missing))
    if missing:
        tasks = [(str(folder.absolute() / files[episode]), scenario, policy, seed, episode, frames, size, frame_skip)
                 for episode in missing]
        _record_all(tasks, min(processes or _cores(), len(tasks)),
                    lambda done: tell(episodes - len(missing) + done))

    manifest = Manifest(origin, {name: Video(sha256_of(folder / name), (folder / name).stat().st_size, frames)
                                 for name in files.values()})
    if finished is not None:
        for name, video in finished.videos.items():
            if manifest.videos[name] != video:
                raise DataError(f"{folder / name} is not the file that {MANIFEST} lists; delete it and record again")
        return finished
    manifest.write(folder)
    (folder / RECORDING).unlink(missing_ok=True)
    return manifest


def _check(scenario: str, episodes: int, test_episodes: int, frames: int, size: int, seed: int, frame_skip: int, policy: str,
           processes: int | None) -> None:
    if scenario not in SCENARIOS:
        raise DataError(f"unknown scenario '{scenario}'; known: {', '.join(SCENARIOS)}")
    if policy not in POLICIES:
        raise DataError(f"unknown policy '{policy}'; known: {', '.join(POLICIES)}")
    if not 1 <= test_episodes < episodes:
        raise DataError(f"each split needs at least one episode, and test_fraction makes {test_episodes} of {episodes} "
                        "test episodes")
    if not 1 <= size <= MAX_SIZE:
        raise DataError(f"size lies between 1 and {MAX_SIZE}, got {size}")
    for name, value, least in (("frames", frames, 1), ("seed", seed, 0), ("frame_skip", frame_skip, 1),
                               ("processes", 1 if processes is None else processes, 1)):
        if value < least:
            raise DataError(f"{name} must be at least {least}, got {value}")


def _open(folder: Path, origin: Mapping[str, Any]) -> Manifest | None:
    """Make ``folder`` ready for this recording, or refuse it; returns the manifest of a recording that is finished already."""
    finished = Manifest.read(folder)
    begun = folder / RECORDING
    if finished is not None:
        _check_same(folder / MANIFEST, finished.origin, origin)
    elif begun.exists():
        try:
            declared = json.loads(begun.read_bytes())
        except ValueError as error:
            raise DataError(f"{begun} cannot be read ({error}); delete {folder} and record again") from error
        _check_same(begun, declared, origin)
        for leftover in folder.glob("*/.*.npy.*"):  # of a recorder that was killed
            leftover.unlink(missing_ok=True)
    elif folder.exists() and any(not file.name.startswith(f".{RECORDING}.") for file in folder.iterdir()):
        raise DataError(f"{folder} holds something else than a recording; give an empty or new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if finished is None and not begun.exists():
        write_json(begun, origin)
    for split in SPLITS:
        (folder / split).mkdir(exist_ok=True)
    return finished


def _check_same(file: Path, declared: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for name in sorted({*declared, *asked}):
        if declared.get(name) != asked.get(name):
            raise DataError(f"{file} was recorded with {name}={declared.get(name)!r}, not {asked.get(name)!r}; "
                            "record into another folder")


def _is_whole(file: Path, shape: tuple[int, ...]) -> bool:
    """Whether an episode is there; it was written whole or not at all, so its header speaks for it."""
    if not file.exists():
        return False
    found = np.load(file, mmap_mode="r", allow_pickle=False)
    if found.shape != shape or found.dtype != np.uint8:
        raise DataError(f"{file} is {found.dtype} {found.shape}, and this recording makes uint8 {shape}; delete it")
    return True


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _record_all(tasks: list[tuple[Any, ...]], processes: int, tell: Callable[[int], None]) -> None:
    """Run every task in fresh processes whose working directories are temporary, for the engine litters the one it runs in."""
    # Spawned, not forked: the caller may hold threads (of torch, of a progress bar) that would not survive in the child.
    context = multiprocessing.get_context("spawn")
    with (tempfile.TemporaryDirectory(prefix="vdmbench-vizdoom-") as scratch,
          ProcessPoolExecutor(processes, context, initializer=_settle, initargs=(scratch,)) as pool):
        pending = [pool.submit(_record_one, *task) for task in tasks]
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                future.result()
                tell(done)
        except BrokenProcessPool as error:
            raise DataError("a recording process died (out of memory, or killed); finished episodes are kept, "
                            "so record again to go on") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _settle(scratch: str) -> None:
    """In each child: an own working directory; interrupts are the parent's business, and the child does not outlive it long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(tempfile.mkdtemp(dir=scratch))
    threading.Thread(target=_end_with_parent, args=(Path(scratch),), daemon=True).start()


def _end_with_parent(scratch: Path) -> None:
    """Where the parent is killed, end after the episode in hand: a game that is not closed would stay."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    with _playing:
        shutil.rmtree(Path.cwd(), ignore_errors=True)
        with contextlib.suppress(OSError):
            scratch.rmdir()  # by whichever child is the last
        os._exit(1)


def _record_one(file: str, *episode: Any) -> None:
    with _playing:
        video = play(*episode)
        with whole_file(Path(file)) as opened:
            np.save(opened, video)
