"""Videos of a folder, one at a time: mp4 and its kin, gif, npy, npz, and folders of images."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.metrics.video import InvalidVideo, ValueRange, quantise

MOVIES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}
ARRAYS = {".npy", ".npz"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class VideoSource:
    """One video: a file, a folder of images, or one entry of an array that holds many."""

    path: Path
    entry: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.entry is None else f"{self.path}[{self.entry}]"


def list_videos(folder: Path) -> list[VideoSource]:
    """All videos under ``folder`` in natural order (frame10 after frame9).

    A folder that holds images is one video. Raises :class:`InvalidVideo` where there is no such folder or no video in it.
    """
    if not folder.is_dir():
        raise InvalidVideo(f"{folder}: no such folder")
    found: list[VideoSource] = []
    image_folders: set[Path] = set()
    for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=_natural):
        suffix = path.suffix.lower()
        if suffix in IMAGES:
            if path.parent not in image_folders:
                image_folders.add(path.parent)
                found.append(VideoSource(path.parent))
        elif suffix in ARRAYS:
            shape = _open_array(path).shape
            found += [VideoSource(path)] if len(shape) == 4 else [VideoSource(path, i) for i in range(shape[0])]
        elif suffix in MOVIES or suffix == ".gif":
            found.append(VideoSource(path))
    if not found:
        raise InvalidVideo(f"{folder}: holds no video ({', '.join(sorted(MOVIES | ARRAYS | {'.gif'}))}, or folders of images)")
    return found


def read_video(source: VideoSource, value_range: ValueRange = "uint8") -> UInt8[Tensor, "frames 3 height width"]:
    """Frames as uint8 colour; float arrays need their range declared. Raises :class:`InvalidVideo` naming the file."""
    suffix = source.path.suffix.lower()
    try:
        if source.path.is_dir():
            frames = _read_images(source.path)
        elif suffix in ARRAYS:
            array = _open_array(source.path)
            frames = quantise(torch.from_numpy(np.array(array if source.entry is None else array[source.entry])), value_range)
        elif suffix == ".gif":
            frames = _read_gif(source.path)
        else:
            frames = _read_movie(source.path)
    except InvalidVideo as cause:
        raise cause if str(source.path) in str(cause) else InvalidVideo(f"{source}: {cause}") from cause
    except (OSError, ValueError) as cause:
        raise InvalidVideo(f"{source}: cannot be read ({cause})") from cause
    return frames.permute(0, 3, 1, 2)


def fingerprint(videos: list[VideoSource], root: Path, *settings: object) -> str:
    """SHA-256 over names, sizes and times of change (contents are not read), and over what the reading depends on."""
    digest = hashlib.sha256(repr(settings).encode())
    for video in videos:
        files = sorted(video.path.iterdir(), key=_natural) if video.path.is_dir() else [video.path]
        for file in files:
            status = file.stat()
            digest.update(f"{file.relative_to(root)} {video.entry} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


@functools.lru_cache(maxsize=1)  # an npz of many videos is inflated once, not once a video
def _open_array(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(path, allow_pickle=False) as archive:
                names = archive.files
                chosen = names[0] if len(names) == 1 else next((n for n in ("videos", "video") if n in names), None)
                if chosen is None:
                    raise InvalidVideo(f"{path}: holds {', '.join(names)}: name the array of videos 'videos'")
                array = archive[chosen]
    except InvalidVideo:
        raise
    except (OSError, ValueError, EOFError) as cause:
        raise InvalidVideo(f"{path}: cannot be read as an array ({cause})") from cause
    if array.ndim not in (4, 5) or array.shape[-1] != 3:
        raise InvalidVideo(
            f"{path}: has shape {array.shape}, expected (frames height width 3) or (videos frames height width 3)"
        )
    return array


def _read_images(folder: Path) -> Tensor:
    from PIL import Image

    frames = []
    for path in sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGES), key=_natural):
        with Image.open(path) as image:
            frames.append(torch.from_numpy(np.array(image.convert("RGB"))))
        if frames[-1].shape != frames[0].shape:
            raise InvalidVideo(
                f"{path}: is {tuple(frames[-1].shape[:2])} pixels where the first frame is {tuple(frames[0].shape[:2])}"
            )
    return torch.stack(frames)


def _read_gif(path: Path) -> Tensor:
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        return torch.stack([torch.from_numpy(np.array(frame.convert("RGB"))) for frame in ImageSequence.Iterator(image)])


def _read_movie(path: Path) -> Tensor:
    try:
        import av
    except ImportError as cause:
        raise InvalidVideo(f"{path}: reading it needs the package 'av': pip install 'vdmbench[fvd]'") from cause
    with av.open(str(path)) as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    if not frames:
        raise InvalidVideo(f"{path}: holds no frame")
    return torch.stack(frames)
