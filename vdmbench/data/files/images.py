"""Videos as pictures: folders with one image a frame, and animated GIFs.

What a file says of its picture beyond 8-bit colour is honoured (16 bits a channel, orientation, palettes, transparency, how
long a frame stands), or the file is refused by name; docs/data.md has the table.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from vdmbench.data.files.gif import gif_delays
from vdmbench.data.files.video_file import VideoFile
from vdmbench.data.source import DataError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "TIFF")
"""That a file of these names may hold; Pillow would also start programs for others, such as PostScript."""
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 258, 262, 0
_GAMMA, _GAMMA_TOLERANCE = 1 / 2.2, 0.01
_NOT_SQUARE = 1.01


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
    """Every frame is drawn over those before it, so a clip is read from the beginning.

    A frame that stands twice or three times as long as the shortest is two or three frames: so writers keep frames that are
    alike.
    """
    shown = np.repeat(*_times_shown(path))
    with _opened(path, ("GIF",)) as image:
        width, height = image.size

    def read(start: int, frames: int) -> np.ndarray:
        pictures: list[np.ndarray] = []
        with _opened(path, ("GIF",)) as image:
            for before, number in zip([-1, *shown[start:]], shown[start : start + frames], strict=False):
                if number != before:
                    image.seek(int(number))  # draws those before it by itself
                pictures.append(pictures[-1] if number == before else _colour(image))
            return np.stack(pictures)

    return VideoFile(path, len(shown), height, width, read)


def _times_shown(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a GIF's pictures, and how many frames each of them is."""
    delays = np.array(gif_delays(path))
    shortest = delays.min()
    if (delays % shortest).any():
        raise DataError(
            f"{path} has frames of {shortest * 10} to {delays.max() * 10} ms, no multiples of one another; the frames of a "
            "video follow one another evenly: write it again at one rate"
        )
    return np.arange(len(delays)), delays // shortest


@contextmanager
def _opened(file: Path, formats: tuple[str, ...] = _FORMATS) -> Iterator[Any]:
    try:
        with Image.open(file, formats=formats) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise _damaged(file, error) from error


def _size(file: Path) -> tuple[int, int]:
    """Height and width as shown, from the header. Raises DataError for a picture that cannot be taken as 8-bit colour."""
    with _opened(file) as image:
        for refuses in _REFUSALS:
            reason = refuses(image)
            if reason is not None:
                raise DataError(f"{file} {reason}")
        width, height = image.size
        # Pillow turns TIFFs by itself, and has turned their size already.
        if image.format != "TIFF" and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        return height, width


def _animated(image: Any) -> str | None:
    if image.format == "MPO":  # a photograph with its preview
        return None
    pictures = getattr(image, "n_frames", 1)
    return (
        None
        if pictures == 1
        else (
            f"holds {pictures} pictures (an animation, or a stack); a folder of images has one frame a file: "
            "save it as .gif, .mp4 or .npy, or each picture as a file"
        )
    )


def _of_another_depth(image: Any) -> str | None:
    if image.mode in ("I", "F"):
        kind = "floating-point numbers" if image.mode == "F" else "32-bit or signed numbers"
        return f"holds {kind}, of which nothing says what is black and white; save it with 8 or 16 bits a channel"
    if image.mode.startswith("I;16") and image.format == "TIFF":
        bits, photometric = image.tag_v2.get(_BITS_PER_SAMPLE, (16,)), image.tag_v2.get(_PHOTOMETRIC)
        if tuple(bits) != (16,) or photometric == _WHITE_IS_ZERO:
            return "holds 16-bit numbers that do not run from black 0 to white 65535; save it with 8 or 16 bits a channel"
    return None


def _of_other_colours(image: Any) -> str | None:
    if image.mode in ("CMYK", "LAB", "HSV"):
        return f"has {image.mode} colours, which no rule brings to RGB as they were meant; save it as RGB"
    profile = image.info.get("icc_profile")
    if profile and (name := _profile_name(profile)) is not None:
        return f"has the colour profile '{name}', which would be left out; save it as sRGB"
    gamma = None if "srgb" in image.info or profile else image.info.get("gamma")
    if gamma is not None and abs(gamma - _GAMMA) > _GAMMA_TOLERANCE:
        return f"has a gamma of {gamma:.3f}, which would be left out; save it as sRGB"
    return None


def _profile_name(profile: bytes) -> str | None:
    """What an ICC profile calls itself; None of sRGB, of which pixels are taken to be."""

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ImportError):
        name = "one that cannot be read"
    return None if "srgb" in name.lower() or name == "c2ci" else name


def _of_oblong_pixels(image: Any) -> str | None:
    info = image.info
    across, down = info.get("aspect") or info.get("dpi") or (1, 1)
    if info.get("jfif_unit") == 0:
        across, down = info.get("jfif_density", (1, 1))
    if min(across, down) <= 0 or max(across, down) <= _NOT_SQUARE * min(across, down):
        return None
    return f"has pixels that are not square ({float(across):g} to {float(down):g}); save it with square ones"


_REFUSALS: tuple[Callable[[Any], str | None], ...] = (_animated, _of_another_depth, _of_other_colours, _of_oblong_pixels)
"""Each says what of an opened picture would be lost, and what to do about it; None where nothing would."""


def _pixels(file: Path) -> np.ndarray:
    with _opened(file) as image:
        return _colour(ImageOps.exif_transpose(image))


def _colour(image: Any) -> np.ndarray:
    """uint8 (height, width, 3): 16-bit values lose their lower byte, what is transparent is shown over black."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        black = Image.new("RGBA", seen.size, (0, 0, 0, 255))
        return np.array(Image.alpha_composite(black, seen).convert("RGB"))
    return np.array(image.convert("RGB"))


def _said(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _damaged(path: Path, error: Exception) -> DataError:
    why = "no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
    return DataError(f"{path} cannot be read ({why}); write it again")


def _natural(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]
