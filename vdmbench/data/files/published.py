"""Published data sets as their authors lay them out, read where they are.

Each is held to what was published: a video of another length or size is not of that set, and is better read as ``folder``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vdmbench.data.files.arrays import read_array
from vdmbench.data.files.folder import Folder, check_apart
from vdmbench.data.files.formats import open_video
from vdmbench.data.files.source import FileSource, StoredVideo
from vdmbench.data.files.video_file import Annotations, VideoFile
from vdmbench.data.source import SPLITS, DataError, Split


@dataclass(frozen=True)
class Published:
    """What was published of a data set."""

    title: str
    frames: int
    side: int
    licence: str
    address: str
    """Where its authors put it."""
    archive: str | None = None
    """What can be fetched there without asking: the address of an archive, or ``archive.org:<item>``."""
    videos: Mapping[Split, int] | None = None
    """Videos of each split, where that was published."""


PUBLISHED: Mapping[str, Published] = {
    "minerl-navigate": Published(
        "MineRL Navigate",
        500,
        64,
        "CC BY-NC-SA 4.0",
        "https://archive.org/details/minerl_navigate",
        "archive.org:minerl_navigate",
        {"train": 961, "test": 225},
    ),
    "gqn-mazes": Published(
        "GQN-Mazes", 300, 64, "not stated", "https://archive.org/details/gqn_mazes", "archive.org:gqn_mazes"
    ),
    "carla-town01": Published(
        "CARLA Town01, no traffic",
        1000,
        128,
        "not stated",
        "https://www.cs.ubc.ca/~wsgh/fdm/carla/no-traffic.tar.gz",
        "https://www.cs.ubc.ca/~wsgh/fdm/carla/no-traffic.tar.gz",
    ),
    "teco-dmlab": Published("DMLab, of TECO", 300, 64, "not stated", "https://github.com/wilson1yan/teco"),
    "teco-minecraft": Published("Minecraft, of TECO", 300, 128, "not stated", "https://github.com/wilson1yan/teco"),
    "moving-mnist": Published(
        "Moving MNIST",
        20,
        64,
        "not stated",
        "https://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",
        "https://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",
        {"train": 9_000, "test": 1_000},
    ),
}


def held_to(name: str, videos: list[StoredVideo]) -> list[StoredVideo]:
    """The videos as they are, each of the length and size that was published.

    Raises:
        DataError: naming the first that is not.
    """
    published = PUBLISHED[name]
    for _, file, _ in videos:
        if (file.frames, file.height, file.width) != (published.frames, published.side, published.side):
            raise DataError(
                f"{file.path} has {file.frames} frames of {file.height}x{file.width}, and those of "
                f"{published.title} have {published.frames} of {published.side}x{published.side}; read it as the "
                "source 'folder'"
            )
    return videos


class MineRLNavigate(FileSource):
    """``{train,test}/``, raw (mp4) or as the published loaders read them (``<i>.npy``)."""

    left_out = staticmethod(Folder.left_out)

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("minerl-navigate", Folder.find(root, split))


class GQNMazes(FileSource):
    """``{train,test}/``, raw (mp4) or as the published loaders read them (``<i>.npy``)."""

    left_out = staticmethod(Folder.left_out)

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("gqn-mazes", Folder.find(root, split))


def _with_actions(root: Path, split: Split) -> list[StoredVideo]:
    """A folder whose every video has actions."""
    videos = Folder.find(root, split)
    for video in videos:
        archive = video.file.path.with_suffix(".npz")
        if not archive.is_file():
            raise DataError(
                f"{video.file.path} has no {archive.name} with its actions beside it; fetch it too, or read "
                "the set as the source 'folder'"
            )
    return videos


class TecoDMLab(FileSource):
    """``{train,test}/*/*.npz`` with ``video`` and ``actions``."""

    left_out = staticmethod(Folder.left_out)

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("teco-dmlab", _with_actions(root, split))


class TecoMinecraft(FileSource):
    """``{train,test}/**/*.mp4``, each with an ``.npz`` of its actions beside it."""

    left_out = staticmethod(Folder.left_out)

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("teco-minecraft", _with_actions(root, split))


TEST_VIDEOS_OF_CARLA = 100


def _carla_town01(root: Path, split: Split) -> list[StoredVideo]:
    """Split by ``video_{train,test}.csv``; without them the last 100 indices are the test split."""
    names = _carla_names(root)
    if split == "test":
        check_apart(root, *([root / name for name in names[each]] for each in SPLITS))
    videos = []
    for name in names[split]:
        file, coords = open_video(root / name), root / f"coords_{Path(name).stem.removeprefix('video_')}.npy"
        if coords.is_file():
            file = replace(file, annotate=partial(_coords, coords), annotation_files=(coords,))
        videos.append(StoredVideo(name, file))
    return videos


def _carla_names(root: Path) -> dict[Split, list[str]]:
    indices = sorted(int(file.stem.removeprefix("video_")) for file in root.glob("video_*.pt"))
    if not indices:
        raise DataError(f"{root} holds no video_<i>.pt")
    if any((root / f"video_{which}.csv").is_file() for which in SPLITS):
        return _carla_lists(root)
    cut = len(indices) - TEST_VIDEOS_OF_CARLA
    if cut <= 0:
        raise DataError(
            f"{root} holds {len(indices)} videos, of which the last {TEST_VIDEOS_OF_CARLA} are the test split, so "
            "none is left to train on; fetch them all, or write video_train.csv and video_test.csv"
        )
    return {
        "train": [f"video_{index}.pt" for index in indices[:cut]],
        "test": [f"video_{index}.pt" for index in indices[cut:]],
    }


def _coords(file: Path) -> Annotations:
    return {"coords": read_array(file)}


def _carla_lists(root: Path) -> dict[Split, list[str]]:
    """File names by split, of tables with the header ``,path``; paths are of another machine, so their last part counts."""
    names: dict[Split, list[str]] = {}
    seen: dict[str, str] = {}
    for split in SPLITS:
        table = root / f"video_{split}.csv"
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
            paths = [row["path"] for row in rows]
        except OSError as error:
            raise DataError(f"{table} cannot be read ({error.strerror}); both splits need one, or neither") from error
        except KeyError as error:
            raise DataError(f"{table} has no column 'path'; its header is ',path'") from error
        names[split] = []
        for number, path in enumerate(paths, start=2):
            name = Path(path.replace("\\", "/")).name
            if name in seen:
                raise DataError(
                    f"{table}:{number} lists {name}, which {seen[name]} lists already; a video belongs to one split, once"
                )
            if not (root / name).is_file():
                raise DataError(f"{table}:{number} lists {name}, which is not in {root}")
            seen[name] = f"{table.name}:{number}"
            names[split].append(name)
        if not names[split]:
            raise DataError(f"{table} lists no video")
    return names


class CarlaTown01(FileSource):
    """``video_<i>.pt``, uint8 (1000, 128, 128, 3), with ``coords_<i>.npy`` beside them."""

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("carla-town01", _carla_town01(root, split))


MNIST_FILE = "mnist_test_seq.npy"
TEST_VIDEOS_OF_MNIST = 1_000


def _moving_mnist(root: Path, split: Split) -> list[StoredVideo]:
    """One grey file, frames first: uint8 (20, 10000, 64, 64). Published as one set; here its last 1,000 are the test split."""
    path = root / MNIST_FILE
    if not path.is_file():
        raise DataError(f"{root} holds no {MNIST_FILE}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] <= TEST_VIDEOS_OF_MNIST:
        raise DataError(f"{path} is {array.dtype} {array.shape}; Moving MNIST is uint8 (20, 10000, 64, 64)")
    frames, count, height, width = array.shape

    cut = count - TEST_VIDEOS_OF_MNIST
    chosen = range(cut) if split == "train" else range(cut, count)
    return [
        StoredVideo(f"{MNIST_FILE}[{index}]", VideoFile(path, frames, height, width, partial(_grey_frames, path, index)))
        for index in chosen
    ]


def _grey_frames(path: Path, index: int, start: int, frames: int) -> np.ndarray:
    grey = np.load(path, mmap_mode="r", allow_pickle=False)[start : start + frames, index]
    return np.repeat(grey[..., None], 3, axis=3)


class MovingMNIST(FileSource):
    """``mnist_test_seq.npy``, grey digits that bounce, shown as colour."""

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        return held_to("moving-mnist", _moving_mnist(root, split))
