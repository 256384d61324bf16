"""Which files are videos, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vdmbench.data.files.arrays import holds_video, open_npy, open_npz, open_pt, read_annotations
from vdmbench.data.files.images import frames_of, is_image, open_gif, open_images
from vdmbench.data.files.movies import open_movie
from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError

MOVIES = frozenset({".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v"})
READERS: Mapping[str, Callable[[Path], VideoFile]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".pt": open_pt,
    ".gif": open_gif,
    **dict.fromkeys(sorted(MOVIES), open_movie),
}


def list_videos(root: Path) -> list[Path]:
    """All videos at any depth under ``root``, in the order of their paths: files of :data:`READERS`, and folders of images.

    An ``.npz`` beside a movie of the same name holds its annotations (TECO's Minecraft), and is no video of its own.

    Raises:
        DataError: where there is none, or a folder holds both videos and single images.
    """
    files = [file for file in root.rglob("*") if file.is_file() and not file.name.startswith(".")]
    image_folders = {file.parent for file in files if is_image(file)}
    movies = {file.with_suffix("") for file in files if file.suffix.lower() in MOVIES}
    videos = [
        file
        for file in files
        if file.suffix.lower() in READERS and not (file.suffix.lower() == ".npz" and file.with_suffix("") in movies)
    ]
    for video in videos:
        if video.parent in image_folders:
            raise DataError(
                f"{video.parent} holds both videos ({video.name}) and images; give each video of images a folder "
                "of its own, and keep other pictures elsewhere"
            )
    if not videos and not image_folders:
        held = ", ".join(sorted({file.suffix or file.name for file in files})) or "nothing"
        raise DataError(f"{root} holds no {', '.join(READERS)} files and no folders of images, but {held}")
    return sorted([*videos, *image_folders], key=lambda path: path.relative_to(root).as_posix())


def open_video(path: Path) -> VideoFile:
    """Read the header of a file, or of all images of a folder.

    Raises:
        DataError: where it cannot be used; the message names it.
    """
    if path.is_dir():
        return open_images(path)
    if path.suffix.lower() not in READERS:
        raise DataError(f"{path} is no video; known: {', '.join(READERS)}, and folders of images")
    video = READERS[path.suffix.lower()](path)
    beside = path.with_suffix(".npz")
    if path.suffix.lower() in MOVIES and beside.exists() and not holds_video(beside):
        return replace(video, annotate=lambda: read_annotations(beside))
    return video


def files_of(path: Path) -> list[Path]:
    """The files whose bytes make the pixels of a video."""
    return frames_of(path) if path.is_dir() else [path]
