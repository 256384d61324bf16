"""How a decoded frame is shown: upright, with square pixels, as 8-bit colour; or why it cannot be."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.source import DataError

Turn = tuple[int, int, int, int]
"""Signs a, b, c, d of a display matrix: the pixel at (x, y) is shown at (a x + c y, b x + d y)."""
UPRIGHT: Turn = (1, 0, 0, 1)

# Numbers of ITU-T H.273 that swscale would take for others, and of which a conversion would have to choose a tone mapping.
_CURVES = {8: "linear", 9: "logarithmic", 10: "logarithmic", 16: "PQ (HDR)", 17: "SMPTE 428", 18: "HLG (HDR)"}
_PRIMARIES = {9: "BT.2020", 10: "SMPTE 428", 11: "DCI-P3", 12: "Display P3"}
_MATRICES = {
    8: "YCgCo", 10: "BT.2020 of constant luminance", 11: "Y'D'zD'x", 12: "derived", 13: "derived", 14: "ICtCp", 15: "IPT-C2",
    16: "YCgCo-R", 17: "YCgCo-R",
}  # fmt: skip
_LAYERS = {
    "STEREO3D": "two views in each frame",
    "SPHERICAL": "a spherical projection",
    "DOVI_METADATA": "Dolby Vision colours",
}


@dataclass(frozen=True)
class Shown:
    """What is done to the frames of one stream."""

    coded: tuple[int, int]
    """Height and width of a frame as it is coded."""
    square: tuple[int, int]
    """The same with square pixels."""
    turn: Turn
    transparent: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as shown."""
        return self.square if self.turn[0] else self.square[::-1]

    def converter(self, path: Path) -> Callable[[Any], UInt8[np.ndarray, "height width 3"]]:
        """From frames to arrays; what converts is made once, which takes longer than a small frame."""
        reformatter = importlib.import_module("av.video.reformatter").VideoReformatter()
        height, width = self.square

        def convert(frame: Any) -> np.ndarray:
            if (frame.height, frame.width) != self.coded or frame.interlaced_frame or _turn(path, frame) != self.turn:
                raise DataError(
                    f"{path} changes its size, orientation or scanning on the way; cut it there, into one file each"
                )
            if not self.transparent:
                colour = reformatter.reformat(frame, width=width, height=height, format="rgb24").to_ndarray()
            else:
                layers = reformatter.reformat(frame, width=width, height=height, format="rgba").to_ndarray()
                over_black = layers[..., :3] * (layers[..., 3:].astype(np.uint16)) + 127
                colour = (over_black // 255).astype(np.uint8)
            return _turned(colour, self.turn)

        return convert


def shown(path: Path, stream: Any, frame: Any) -> Shown:
    """How frames like ``frame``, the first of ``stream``, are shown.

    Raises:
        DataError: where that takes a choice which the file leaves open, or what this cannot do.
    """
    reason = _refusal(stream, frame)
    if reason is not None:
        raise DataError(f"{path} {reason}")
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    height, width = frame.height, frame.width
    square = (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)
    transparent = any(component.is_alpha for component in frame.format.components)
    return Shown((height, width), square, _turn(path, frame), transparent)


def _refusal(stream: Any, frame: Any) -> str | None:
    """What of the stream would be lost, and what to do about it."""
    if frame.interlaced_frame:
        return "is interlaced: each frame is of two moments; deinterlace it (ffmpeg -vf bwdif)"
    if "f16" in frame.format.name or "f32" in frame.format.name:
        return f"holds floating-point numbers ({frame.format.name}), whose range nothing says; convert it to 8 bits a colour"
    if stream.metadata.get("alpha_mode") == "1" and not any(each.is_alpha for each in frame.format.components):
        return "has a layer of transparency that cannot be decoded; flatten it"
    for names, number, what in (
        (_CURVES, frame.color_trc, "transfer curve"),
        (_PRIMARIES, frame.color_primaries, "primary colours"),
        ({} if frame.format.is_rgb else _MATRICES, frame.colorspace, "colour matrix"),
    ):
        if int(number) in names:
            return f"has the {what} {names[int(number)]}, which 8-bit colour does not hold; convert it to BT.709"
    layers = {item.type.name for item in frame.side_data} & set(_LAYERS)
    if layers:
        return f"has {_LAYERS[min(layers)]}, which would be lost; convert it to plain video"
    return None


def _turn(path: Path, frame: Any) -> Turn:
    """From the frame's display matrix: nine 32-bit numbers, of which a, b, c, d are the 1st, 2nd, 4th and 5th."""
    for item in frame.side_data:
        if item.type.name == "DISPLAYMATRIX":
            matrix = np.frombuffer(bytes(item), np.int32)
            a, b, c, d = (int(each) for each in np.sign(matrix[[0, 1, 3, 4]]))
            if abs(a) + abs(b) != 1 or (abs(a), abs(b)) != (abs(d), abs(c)):
                raise DataError(f"{path} is to be shown turned by {frame.rotation} degrees; turn it upright, by a right angle")
            return a, b, c, d
    return UPRIGHT


def _turned(colour: UInt8[np.ndarray, "height width 3"], turn: Turn) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    a, b, c, d = turn
    if not a:
        colour = colour.swapaxes(0, 1)
    return colour[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
