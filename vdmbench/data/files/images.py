"""Videos as pictures: folders with one image a frame, and animated GIFs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
_GIF_TRAILER = b";"  # GIF89a specification, section 27: the last byte of a whole file


def open_images(folder: Path) -> VideoFile:
    """One frame an image, in natural order (frame 10 after frame 9); all of one size."""
    files = frames_of(folder)
    first = _size(files[0])
    for file in files[1:]:
        if _size(file) != first:
            raise DataError(
                f"{file} is {_said(_size(file))} and {files[0].name} is {_said(first)}; the frames of a video have one size"
            )

    def read(start: int, frames: int) -> np.ndarray:
        return np.stack([_pixels(file) for file in files[start : start + frames]])

    return VideoFile(folder, len(files), *first, read)


def frames_of(folder: Path) -> list[Path]:
    """The images of a folder in natural order."""
    return sorted((file for file in folder.iterdir() if is_image(file)), key=_natural)


def is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGES and not file.name.startswith(".")


def open_gif(path: Path) -> VideoFile:
    """Every frame is drawn over those before it, so a clip is read from the beginning."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 64))
        if not file.read().rstrip(b"\0").endswith(_GIF_TRAILER):
            raise DataError(f"{path} is cut off: it does not end as a GIF does; fetch or write it again")
    try:
        with Image.open(path) as image:
            frames, (width, height) = getattr(image, "n_frames", 1), image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(path, error) from error

    def read(start: int, frames: int) -> np.ndarray:
        try:
            with Image.open(path) as image:
                pictures = []
                for number in range(start, start + frames):
                    image.seek(number)  # draws those before it by itself
                    pictures.append(np.array(image.convert("RGB")))
                return np.stack(pictures)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise _damaged(path, error) from error

    return VideoFile(path, frames, height, width, read)


def _size(file: Path) -> tuple[int, int]:
    """Height and width, from the header."""
    try:
        with Image.open(file) as image:
            return image.size[1], image.size[0]
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(file, error) from error


def _pixels(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(file, error) from error


def _said(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _damaged(path: Path, error: Exception) -> DataError:
    why = "no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{path} cannot be read ({why}); write it again")


def _natural(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]
