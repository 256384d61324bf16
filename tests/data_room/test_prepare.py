from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import vdmbench
from tests.data_room.videos import counting, number_of, video, write_movie
from vdmbench.data.preparing.prepare import prepare
from vdmbench.data.preparing.unpack import unpack
from vdmbench.data.preparing.verify import verify
from vdmbench.data.resumable import alone_in
from vdmbench.data.source import DataError
from vdmbench.data.store.index import Index
from vdmbench.data.store.store import Store


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As GQN-Mazes is published: ``{train,test}/*.mp4`` in a folder of its own."""
    root = tmp_path_factory.mktemp("raw")
    for split, count in (("train", 5), ("test", 2)):
        (root / "gqn" / split).mkdir(parents=True)
        for index in range(count):
            frames = np.resize(counting(30, side=64, first=5 * index), (300, 64, 64, 3)) + np.uint8(4 * (split == "test"))
            frames[-1] = 10 * index + 3  # no two videos alike
            write_movie(root / "gqn" / split / f"{index}.mp4", frames, key_frame_every=60)
    return root


@pytest.fixture(scope="module", params=["zip", "tar.gz", "folder"])
def published(request: pytest.FixtureRequest, movies: Path) -> Path:
    if request.param == "folder":
        return movies
    file = movies.parent / f"{movies.name}.{request.param}"
    if request.param == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for movie in sorted(movies.rglob("*.mp4")):
                archive.write(movie, movie.relative_to(movies))
    else:
        with tarfile.open(file, "w:gz") as archive:
            archive.add(movies / "gqn", "gqn")
    return file


def test_archives_and_folders_of_movies_become_a_store(published: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    index = prepare("gqn-mazes", tmp_path / "store", source=published, size=32, progress=lambda *step: told.append(step))
    assert index.counts == {"train": 5, "test": 2}
    assert index.origin["licence"] == "not stated"
    source = Store(split="train", frames=256, size=32, path=tmp_path / "store")
    assert source.clip(2, 13, 256).shape == (256, 32, 32, 3)
    assert number_of(source.clip(2, 33, 1)[0]) == 13
    assert told[-1] == ("preparing", 7, 7)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["store"]
    assert verify(tmp_path / "store").ok


def test_a_killed_prepare_goes_on(movies: Path, tmp_path: Path) -> None:
    prepare("gqn-mazes", tmp_path / "whole", source=movies, size=32, shard_bytes=1_000_000)
    script = (
        "from pathlib import Path; from vdmbench.data.preparing.prepare import prepare\n"
        f"prepare('gqn-mazes', Path({str(tmp_path / 'killed')!r}), source=Path({str(movies)!r}), size=32,\n"
        "        shard_bytes=1_000_000, progress=lambda what, done, total: print(done, flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(vdmbench.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as killed:
        assert killed.stdout is not None
        next(line for line in killed.stdout if int(line) >= 4)
        killed.send_signal(signal.SIGKILL)
    assert Index.read(tmp_path / "killed") is None
    told: list[int] = []
    prepare(
        "gqn-mazes",
        tmp_path / "killed",
        source=movies,
        size=32,
        shard_bytes=1_000_000,
        progress=lambda what, done, total: told.append(done),
    )
    assert told[0] >= 1  # what was whole was kept
    whole, resumed = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("whole", "killed"))
    assert resumed == whole


def test_two_at_once_in_one_folder_are_refused_and_leave_no_lock(movies: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    with alone_in(out), pytest.raises(DataError, match=r"another process is making .*store: wait until it has ended"):
        prepare("gqn-mazes", out, source=movies, size=32)
    assert not out.exists()  # nothing was made there
    prepare("gqn-mazes", out, source=movies, size=32)
    assert not (out / ".lock").exists()
    assert len(Store(path=out, split="train", frames=8, size=32)) == 5


def test_a_recording_keeps_its_class_and_other_annotations(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 5)):
        (tmp_path / "raw" / split / "running").mkdir(parents=True)
        for index in range(2):
            np.savez(tmp_path / "raw" / split / "running" / f"{index}.npz", video=video(first + index), actions=np.arange(12))
    prepare("folder", tmp_path / "store", source=tmp_path / "raw")
    source = Store(split="test", frames=12, size=16, path=tmp_path / "store")
    assert source.describe(0, 0, 12) == ("running", "running")
    np.testing.assert_array_equal(source.annotations(1, 3, 2)["actions"], [3, 4])


@pytest.mark.parametrize(
    "name", ["../evil.mp4", "train/../../evil.mp4", "/tmp/evil.mp4", "C:\\evil.mp4", "train\\..\\..\\evil.mp4"]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_that_lead_elsewhere_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"evil.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"evil")
    else:
        with tarfile.open(file, "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match=r"evil\.(zip|tar\.gz) holds .*evil\.mp4', which leads out of the folder"):
        prepare("folder", tmp_path / "out" / "store", source=file)
    assert not list(tmp_path.rglob("evil.mp4"))


@pytest.mark.parametrize("name", [".", "./.", "././"])
def test_a_member_of_an_archive_that_names_no_file_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"a\.tar\.gz holds .* which names no file"):
        prepare("folder", tmp_path / "out" / "store", source=file)


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        member = tarfile.TarInfo("train/0.mp4")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as packed:
        entry = zipfile.ZipInfo("train/0.mp4")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
    for name in ("link.tar", "link.zip"):
        with pytest.raises(DataError, match=r"train/0\.mp4', which is a link"):
            unpack(tmp_path / name, tmp_path / "into")


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_that_were_cut_off_are_named(movies: Path, kind: str, kept: float, tmp_path: Path) -> None:
    file = tmp_path / f"cut.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.write(next(movies.rglob("*.mp4")), "train/0.mp4")
    else:
        with tarfile.open(file, "w:gz") as archive:
            archive.add(movies / "gqn", "gqn")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=rf"cut\.{kind}.*(damaged|cut off)"):
        prepare("folder", tmp_path / "store", source=file)


def test_what_cannot_be_prepared_is_said(tmp_path: Path) -> None:
    for arguments, said in (
        ({"name": "minerl"}, "unknown data source 'minerl', did you mean 'minerl-navigate'"),
        ({"name": "maze", "source": tmp_path}, "'maze' needs no preparing"),
        ({"name": "folder"}, "give either a file or folder"),
        ({"name": "folder", "source": tmp_path, "download": True}, "give either a file or folder"),
        ({"name": "folder", "download": True}, "'folder' is published nowhere; give --from"),
        ({"name": "teco-dmlab", "download": True}, "by hand and give the file or its folder with --from"),
        ({"name": "folder", "source": tmp_path / "none"}, "none: no such file or folder"),
    ):
        with pytest.raises(DataError, match=said):
            prepare(out=tmp_path / "store", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "store").exists()


def test_other_content_under_the_same_name_is_refused(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 5)):
        (tmp_path / "raw" / split).mkdir(parents=True)
        for index in range(2):
            np.save(tmp_path / "raw" / split / f"{index}.npy", video(first + index))
    prepare("folder", tmp_path / "store", source=tmp_path / "raw")
    np.save(tmp_path / "raw" / "train" / "2.npy", video(9))
    with pytest.raises(DataError, match=r"index\.json was made with listing="):
        prepare("folder", tmp_path / "store", source=tmp_path / "raw")
