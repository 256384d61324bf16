"""Which files are videos, and who reads them: the one way to a video on disk, for training and for ``vdmbench fvd``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vdmbench.data.files.arrays import holds_video, open_npy, open_npz, open_pt, read_annotations
from vdmbench.data.files.images import frames_of, is_image, open_gif, open_images
from vdmbench.data.files.movies import open_movie
from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError
from vdmbench.file_tree import FileTree, file_tree

MOVIES = frozenset({".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v"})
ARRAYS = frozenset({".npy", ".npz", ".pt"})
READERS: Mapping[str, Callable[[Path], list[VideoFile]]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".pt": open_pt,
    ".gif": lambda path: [open_gif(path)],
    **dict.fromkeys(sorted(MOVIES), lambda path: [open_movie(path)]),
}
READING = 2
"""Raised when other frames are read from the same files: 2 since turned, oblong, deep and transparent pictures are honoured."""
_SHOWN = 3  # names in a sentence about many


@dataclass(frozen=True)
class Found:
    """The videos under a folder, in the order of their paths."""

    videos: list[Path]
    notes: tuple[str, ...] = ()
    """What of the folder is not read, and what is read more than once, a line for each kind."""


def find_videos(root: Path) -> Found:
    """All videos at any depth under ``root``: files of :data:`READERS`, and folders of images. Links to folders are followed.

    What lies under a name that begins with a dot is left out. An ``.npz`` beside a movie of the same name holds its annotations
    (TECO's Minecraft), and is no video of its own.

    Raises:
        DataError: where there is no such folder or no video in it, or a folder holds both videos and single images.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    tree = file_tree(root)
    videos, image_folders, annotations = _sorted_out(tree)
    for video in videos:
        if video.parent in image_folders:
            raise DataError(
                f"{video.parent} holds both videos ({video.name}) and images; give each video of images a folder "
                "of its own, and keep other pictures elsewhere"
            )
    others = [
        file for file in tree.files if file not in annotations and file.suffix.lower() not in READERS and not is_image(file)
    ]
    if not videos and not image_folders:
        held = ", ".join(sorted({file.suffix or file.name for file in tree.files})) or "nothing"
        raise DataError(
            f"{root} holds no video: no {', '.join(READERS)} files and no folders of images, but {held}"
            + "".join(f"; {note}" for note in _left_out(tree, []))
        )
    ordered = sorted([*videos, *image_folders], key=lambda path: path.relative_to(root).as_posix())
    return Found(ordered, (*_left_out(tree, others), *_twice(root, videos)))


def open_videos(path: Path, *, floats: bool = False) -> list[VideoFile]:
    """Read the header of a file, or of all images of a folder: one video, or those of an array that holds several.

    Args:
        floats: allow arrays of floating-point numbers, whose range the caller knows.

    Raises:
        DataError: where it cannot be used; the message names it.
    """
    if path.is_dir():
        return [open_images(path)]
    if path.suffix.lower() not in READERS:
        raise DataError(f"{path} is no video; known: {', '.join(READERS)}, and folders of images")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    videos = READERS[path.suffix.lower()](path)
    for video in videos:
        if video.dtype != np.uint8 and not (floats and np.issubdtype(video.dtype, np.floating)):
            raise DataError(
                f"{path} is {video.dtype}; videos are stored as uint8, 0 to 255 (vdmbench fvd takes floating-point numbers "
                "whose range --value-range declares)"
            )
    beside = path.with_suffix(".npz")
    if path.suffix.lower() in MOVIES and beside.exists() and not holds_video(beside):
        return [replace(video, annotate=lambda: read_annotations(beside), annotation_files=(beside,)) for video in videos]
    return videos


def open_video(path: Path) -> VideoFile:
    """The same of a file that is to hold one video."""
    videos = open_videos(path)
    if len(videos) != 1 or videos[0].entry is not None:
        raise DataError(f"{path} holds {len(videos)} videos in one array; give each a file of its own here")
    return videos[0]


def videos_by_name(root: Path) -> list[Path]:
    """What under ``root`` is a video as far as names tell; nothing is refused."""
    videos, image_folders, _ = _sorted_out(file_tree(root))
    return [*videos, *sorted(image_folders)]


def files_of(path: Path) -> list[Path]:
    """The files whose bytes make the pixels of a video."""
    return frames_of(path) if path.is_dir() else [path]


def _sorted_out(tree: FileTree) -> tuple[list[Path], set[Path], set[Path]]:
    """Files of videos, folders of images, and annotations beside movies."""
    movies = {file.with_suffix("") for file in tree.files if file.suffix.lower() in MOVIES}
    annotations = {file for file in tree.files if file.suffix.lower() == ".npz" and file.with_suffix("") in movies}
    videos = [file for file in tree.files if file.suffix.lower() in READERS and file not in annotations]
    return videos, {file.parent for file in tree.files if is_image(file)}, annotations


def _left_out(tree: FileTree, others: list[Path]) -> list[str]:
    """What is not read, in sentences that say how much and of what kind."""
    kinds = Counter(file.suffix.lower() or file.name for file in others)
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_SHOWN))
    more = f", and {len(kinds) - _SHOWN} kinds more" if len(kinds) > _SHOWN else ""
    kinds_of_file = f"{named}{more}"
    groups = [
        ("{} hidden ({})", tree.hidden, None),
        ("{} that are no video ({})", others, kinds_of_file),
        ("{} links to folders that are read already ({})", tree.again, None),
        ("{} links to nothing ({})", tree.broken, None),
    ]
    return [
        f"{tree.root}: left out " + said.format(len(paths), detail or _names(tree.root, paths))
        for said, paths, detail in groups
        if paths
    ]


def _twice(root: Path, videos: list[Path]) -> list[str]:
    seen: set[tuple[int, int]] = set()
    again = []
    for video in videos:
        status = video.stat()
        if (status.st_dev, status.st_ino) in seen:
            again.append(video)
        seen.add((status.st_dev, status.st_ino))
    return (
        [f"{root}: {len(again)} videos are read again under another name, by a link ({_names(root, again)})"] if again else []
    )


def _names(root: Path, paths: list[Path]) -> str:
    more = f", and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.relative_to(root).as_posix() for path in paths[:_SHOWN]) + more
