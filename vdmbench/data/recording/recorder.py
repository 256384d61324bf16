"""Record the episodes of a world into a folder that :class:`vdmbench.data.files.folder.Folder` reads.

While it records, ``recording.json`` holds the declared options, and each finished episode is a whole file; ``manifest.json``
replaces it at the end. Recording into the same folder again goes on where it stopped, and refuses other options.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

import vdmbench
from vdmbench.cores import cores
from vdmbench.data.manifest import MANIFEST, Manifest, Video
from vdmbench.data.recording.world import World
from vdmbench.data.resumable import alone_in, begin
from vdmbench.data.source import DataError
from vdmbench.file_digests import digests
from vdmbench.whole_file import whole_file

RECORDING = "recording.json"
_playing = threading.Lock()


def record(
    world: World,
    out: Path | str,
    *,
    episodes: int = 250,
    test_fraction: float = 0.2,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Manifest:
    """Record episodes as ``out/train/*.npy`` and ``out/test/*.npy``, uint8 (frames, size, size, 3), and a manifest of them.

    What is known of each frame lies beside them in files of the same names: ``out/actions/train/*.npy``. Episode i depends only
    on the world's options and i, whatever the number of processes.

    Args:
        world: what is played, its options included.
        episodes: of both splits together.
        test_fraction: share of them, the last ones, that goes to ``test/``; rounded, and at least one.
        processes: that record at once; by default one for each core.
        progress: called with the number of finished episodes, at the start and after each.

    Raises:
        DataError: where the world's package is missing, an option cannot be met, or ``out`` holds something else, or is being
            made by another process.
    """
    test_episodes = max(1, round(episodes * test_fraction))
    if not 1 <= test_episodes < episodes:
        raise DataError(
            f"each split needs at least one episode, and test_fraction makes {test_episodes} of {episodes} test episodes"
        )
    if processes is not None and processes < 1:
        raise DataError(f"processes must be at least 1, got {processes}")
    with alone_in(Path(out)):
        return _recorded(world, Path(out), episodes, test_episodes, processes or cores(), progress or (lambda done: None))


def _recorded(
    world: World, folder: Path, episodes: int, test_episodes: int, processes: int, tell: Callable[[int], None]
) -> Manifest:
    origin = {**world.origin(), "vdmbench": vdmbench.__version__, "episodes": episodes, "test_episodes": test_episodes}
    finished = Manifest.read(folder)
    begin(folder, RECORDING, origin, finished=None if finished is None else finished.origin, done=MANIFEST)

    videos = [f"{'train' if episode < episodes - test_episodes else 'test'}/{episode:06d}.npy" for episode in range(episodes)]
    annotations = [f"{name}/{video}" for name in world.recorded for video in videos]
    for name in (*videos, *annotations):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    missing = [episode for episode, video in enumerate(videos) if not _is_whole(folder, video, world)]
    tell(episodes - len(missing))
    if missing:
        _record_all(
            world,
            folder,
            {episode: videos[episode] for episode in missing},
            processes,
            lambda done: tell(episodes - len(missing) + done),
        )

    hashes = digests(folder, [*videos, *annotations])
    manifest = Manifest(
        origin,
        {name: Video(hashes[name], (folder / name).stat().st_size, world.frames) for name in videos},
        {name: hashes[name] for name in annotations},
    )
    if finished is not None:
        for name, digest in [*((name, video.sha256) for name, video in finished.videos.items()), *finished.annotations.items()]:
            if hashes[name] != digest:
                raise DataError(f"{folder / name} is not the file that {MANIFEST} lists; delete it and record again")
        return finished
    manifest.write(folder)
    (folder / RECORDING).unlink(missing_ok=True)
    return manifest


def _is_whole(folder: Path, video: str, world: World) -> bool:
    """Whether an episode is there. Each file was written whole or not at all, so its header speaks for it."""
    file = folder / video
    if not file.exists() or not all((folder / name / video).exists() for name in world.recorded):
        return False
    found, shape = np.load(file, mmap_mode="r", allow_pickle=False), (world.frames, world.size, world.size, 3)
    if found.shape != shape or found.dtype != np.uint8:
        raise DataError(f"{file} is {found.dtype} {found.shape}, and this recording makes uint8 {shape}; delete it")
    return True


def _record_all(world: World, folder: Path, videos: dict[int, str], processes: int, tell: Callable[[int], None]) -> None:
    """Record every episode in fresh processes whose working directories are temporary, for engines litter theirs."""
    # Spawned, not forked: the caller may hold threads (of torch, of a progress bar) that would not survive in the child.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="vdmbench-recording-") as scratch,
        ProcessPoolExecutor(min(processes, len(videos)), context, initializer=_settle, initargs=(scratch,)) as pool,
    ):
        pending = [pool.submit(_record_one, world, episode, str(folder.absolute()), video) for episode, video in videos.items()]
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                future.result()
                tell(done)
        except BrokenProcessPool as error:
            raise DataError(
                "a recording process died (out of memory, or killed); finished episodes are kept, so record again to go on"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _settle(scratch: str) -> None:
    """In each child: an own working directory; interrupts are the parent's business, and the child does not outlive it long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(tempfile.mkdtemp(dir=scratch))
    threading.Thread(target=_end_with_parent, args=(Path(scratch),), daemon=True).start()


def _end_with_parent(scratch: Path) -> None:
    """Where the parent is killed, end after the episode in hand: an engine that is not closed would stay."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    with _playing:
        shutil.rmtree(Path.cwd(), ignore_errors=True)
        with contextlib.suppress(OSError):
            scratch.rmdir()  # by whichever child is the last
        os._exit(1)


def _record_one(world: World, episode: int, folder: str, video: str) -> None:
    with _playing:
        played = world.play(episode)
        if set(played.annotations) != set(world.recorded):
            raise DataError(f"{world.recorder} gave {', '.join(played.annotations)}, and declares {', '.join(world.recorded)}")
        for name, array in [*((f"{name}/{video}", rows) for name, rows in played.annotations.items()), (video, played.video)]:
            with whole_file(Path(folder, name)) as opened:
                np.save(opened, array)
