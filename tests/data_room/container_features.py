"""Files that say more than width x height x 8 bits, each with what becomes of it: the table of docs/data.md."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageCms, PngImagePlugin

FRAMES = 5


@dataclass(frozen=True)
class Feature:
    """One thing that a file says."""

    name: str
    becomes: str
    """What the table says of it: how it is honoured, or ``refused``."""
    files: dict[str, Callable[[Path], Path]]
    """Each makes a video in a folder, and returns its path."""
    shown: Callable[[str], np.ndarray] | None = None
    """Of the file of that name, what must be read; None where it must be refused."""
    tolerance: float = 0.0
    """Mean absolute difference that a lossy codec may make."""


def shot(height: int = 16, width: int = 32) -> np.ndarray:
    """Frames of coloured blocks, no two corners alike, that differ from frame to frame."""
    video = np.zeros((FRAMES, height, width, 3), np.uint8)
    video[:, : height // 2, : width // 2, 0] = 200
    video[:, : height // 2, width // 2 :, 1] = 160
    video[:, height // 2 :, : width // 2, 2] = 240
    video[:, height // 2 :, width // 2 :] = 96
    video[np.arange(FRAMES), :, np.arange(FRAMES) * 4 % width] = 255
    return video


def grey(height: int = 16, width: int = 32) -> np.ndarray:
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    return np.stack([np.roll(ramp, frame)[None].repeat(height, 0) for frame in range(FRAMES)])


def colour_of(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[..., None], 3, axis=-1)


def pictures(make: Callable[[int], Image.Image], name: str, **options: Any) -> Callable[[Path], Path]:
    """A folder of images, one a frame."""

    def write(folder: Path) -> Path:
        for frame in range(FRAMES):
            chosen = {key: value(frame) if callable(value) else value for key, value in options.items()}
            make(frame).save(folder / name.format(frame), **chosen)
        return folder

    return write


def _of(mode: str) -> Callable[[int], Image.Image]:
    return lambda frame: Image.fromarray(shot()[frame]).convert(mode)


def _deep(frame: int) -> Image.Image:
    return Image.fromarray(grey()[frame].astype(np.uint16) * 257)


def _png16(folder: Path) -> Path:
    """16-bit colour, which Pillow does not write."""
    for frame in range(FRAMES):
        rows = shot()[frame].astype(">u2") * 257
        data = b"".join(b"\0" + row.tobytes() for row in rows)
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", 32, 16, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
        )
        (folder / f"{frame}.png").write_bytes(content)
    return folder


def _turned(orientation: int, suffix: str) -> Callable[[Path], Path]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"webp": {"lossless": True}}.get(suffix, {})
    return pictures(_of("RGB"), f"{{}}.{suffix}", exif=exif, **lossless)


def _upright(name: str) -> np.ndarray:
    """What the eight orientations of EXIF 2.3, section 4.6.4 mean: where the 0th row and the 0th column are shown."""
    video, number = shot(), int(name.split()[1])
    if number >= 5:
        video = video.swapaxes(1, 2)
    if number in (3, 4, 7, 8):
        video = video[:, ::-1]
    return video[:, :, ::-1] if number in (2, 3, 6, 7) else video


def _half_transparent(frame: int) -> Image.Image:
    alpha = np.full((16, 32, 1), 255, np.uint8)
    alpha[:, 16:] = 0
    return Image.fromarray(np.concatenate([shot()[frame], alpha], axis=2))


def _over_black(_: str) -> np.ndarray:
    video = shot()
    video[:, :, 16:] = 0
    return video


def animation(name: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        frames = [Image.fromarray(frame) for frame in shot()]
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], **options)
        return folder / name if name.endswith(".gif") else folder

    return write


def _png_with(chunk: bytes, body: bytes) -> Callable[[Path], Path]:
    info = PngImagePlugin.PngInfo()
    info.add(chunk, body)
    return pictures(_of("RGB"), "{}.png", pnginfo=info)


def _profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def movie(
    name: str,
    codec: str,
    pixels: str,
    video: np.ndarray | None = None,
    *,
    options: dict[str, str] | None = None,
    matrix: int = 5,
    full_range: bool = False,
    setting: Callable[[Any], None] = lambda stream: None,
    times: list[int] | None = None,
    source: str = "rgb24",
) -> Callable[[Path], Path]:
    """A movie whose frames and stream are tagged as given."""

    def write(folder: Path) -> Path:
        frames = shot() if video is None else video
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options or {})
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
            colour = 2 if full_range else 1
            stream.codec_context.color_range, stream.codec_context.colorspace = colour, matrix
            setting(stream)
            reformatter = VideoReformatter()
            for number, frame in enumerate(frames):
                coded = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=source)
                if source == "rgb24":
                    space = matrix if matrix in (1, 5, 9) else 5
                    coded = reformatter.reformat(coded, format=pixels, dst_colorspace=space, dst_color_range=colour)
                    coded.color_range, coded.colorspace = colour, matrix
                if times is not None:
                    coded.pts, coded.time_base = times[number], Fraction(1, 10)
                container.mux(stream.encode(coded))
            container.mux(stream.encode())
        return folder / name

    return write


EXACT = {"qp": "0"}
H264 = ("libx264", "yuv444p")


def _with_matrix(a: int, b: int, c: int, d: int) -> Callable[[Path], Path]:
    """The display matrix of an mp4's track header (ISO/IEC 14496-12, section 8.3.2), in 16.16 fixed point."""

    def write(folder: Path) -> Path:
        path = movie("a.mp4", *H264, options=EXACT)(folder)
        content = bytearray(path.read_bytes())
        at = content.find(b"tkhd") + 44  # of version 0
        content[at : at + 36] = struct.pack(">9i", *(v << 16 for v in (a, b)), 0, *(v << 16 for v in (c, d)), 0, 0, 0, 1 << 30)
        path.write_bytes(content)
        return path

    return write


MATRICES = {
    "a quarter": ((0, 1, -1, 0), lambda video: np.rot90(video, -1, (1, 2))),
    "half": ((-1, 0, 0, -1), lambda video: np.rot90(video, 2, (1, 2))),
    "three quarters": ((0, -1, 1, 0), lambda video: np.rot90(video, 1, (1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda video: video[:, :, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda video: video[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda video: video.swapaxes(1, 2)),
}


def _aspect(width: int, height: int) -> Callable[[Any], None]:
    def setting(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(width, height)

    return setting


def _plain_colour(height: int = 16, width: int = 32) -> np.ndarray:
    return np.full((FRAMES, height, width, 3), (200, 40, 90), np.uint8)


def _tagged(**tags: int) -> Callable[[Any], None]:
    def setting(stream: Any) -> None:
        for tag, value in tags.items():
            setattr(stream.codec_context, tag, value)

    return setting


def _two_streams(folder: Path) -> Path:
    with av.open(str(folder / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=10) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 16, 32, "bgr0"
        for stream in streams:
            for frame in shot():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
            container.mux(stream.encode())
    return folder / "a.mkv"


def _cover(video: bool) -> Callable[[Path], Path]:
    """A picture as the first stream, as in music; and a video behind it, or none."""

    def write(folder: Path) -> Path:
        with av.open(str(folder / "a.mp4"), "w") as container:
            cover = container.add_stream("png", rate=10)
            cover.height, cover.width, cover.pix_fmt = 8, 8, "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
            other = container.add_stream(
                "libx264" if video else "aac", rate=10 if video else 16000, options=EXACT if video else {}
            )
            if video:
                other.height, other.width, other.pix_fmt = 16, 32, "yuv444p"
            container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")))
            container.mux(cover.encode())
            if video:
                for frame in shot():
                    container.mux(other.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv444p")))
            else:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 16000, 0
                container.mux(other.encode(silence))
            container.mux(other.encode())
        return folder / "a.mp4"

    return write


def _array(name: str, save: Callable[[Path], None]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save(folder / name)
        return folder / name

    return write


def _two_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, shot())
        np.save(file, shot())


def _pt(make: Callable[[], Any]) -> Callable[[Path], Path]:
    import torch

    return _array("a.pt", lambda path: torch.save(make(), path))


def _torch_video() -> Any:
    import torch

    return torch.from_numpy(shot())


def _grey_video(_: str) -> np.ndarray:
    return colour_of(grey())


def _plain(_: str) -> np.ndarray:
    return shot()


FEATURES = [
    Feature(
        "16 bits a channel in an image",
        "the upper 8 bits",
        {"grey.png": pictures(_deep, "{}.png"), "grey.tif": pictures(_deep, "{}.tif")},
        _grey_video,
    ),
    Feature("16-bit colour in a PNG", "the upper 8 bits", {"colour.png": _png16}, _plain),
    Feature(
        "floating-point or 32-bit numbers in an image",
        "refused",
        {
            "float.tif": pictures(lambda frame: Image.fromarray(grey()[frame].astype(np.float32) / 255), "{}.tif"),
            "int.tif": pictures(lambda frame: Image.fromarray(grey()[frame].astype(np.int32)), "{}.tif"),
        },
    ),
    Feature(
        "EXIF orientation",
        "turned as shown",
        {
            f"{suffix} {number}": _turned(number, suffix)
            for suffix, numbers in {"png": range(1, 9), "webp": (3, 6), "tif": (3, 6, 8)}.items()
            for number in numbers
        },
        _upright,
    ),
    Feature(
        "EXIF orientation of a JPEG", "turned as shown", {"jpg 6": _turned(6, "jpg"), "jpg 3": _turned(3, "jpg")}, _upright, 20
    ),
    Feature(
        "palettes, grey, black and white",
        "as colour",
        {"palette": pictures(lambda frame: Image.fromarray(shot()[frame]).quantize(64), "{}.png")},
        _plain,
    ),
    Feature(
        "one bit a pixel",
        "as colour",
        {"bits": pictures(lambda frame: Image.fromarray(grey()[frame] > 99), "{}.png")},
        lambda _: colour_of((grey() > 99).astype(np.uint8) * 255),
    ),
    Feature(
        "transparency of an image",
        "shown over black",
        {"png": pictures(_half_transparent, "{}.png"), "webp": pictures(_half_transparent, "{}.webp", lossless=True)},
        _over_black,
    ),
    Feature(
        "CMYK, LAB or HSV colours",
        "refused",
        {"cmyk.jpg": pictures(_of("CMYK"), "{}.jpg"), "lab.tif": pictures(_of("LAB"), "{}.tif")},
    ),
    Feature(
        "a colour profile or gamma that is not sRGB's",
        "refused",
        {
            "profile": pictures(_of("RGB"), "{}.png", icc_profile=_profile("XYZ")),
            "gamma": _png_with(b"gAMA", struct.pack(">I", 100_000)),
        },
    ),
    Feature("an sRGB profile", "as it is", {"profile": pictures(_of("RGB"), "{}.png", icc_profile=_profile("sRGB"))}, _plain),
    Feature("pixels of an image that are not square", "refused", {"dpi": pictures(_of("RGB"), "{}.png", dpi=(72, 144))}),
    Feature(
        "animated PNG or WebP, TIFF stacks",
        "refused",
        {name: animation(name) for name in ("a.png", "a.webp", "a.tif")},
    ),
    Feature(
        "frames of a GIF that stand two or three times as long",
        "two or three frames",
        {"a.gif": animation("a.gif", duration=[40, 80, 40, 120, 40])},
        lambda _: shot()[[0, 1, 1, 2, 3, 3, 3, 4]],
    ),
    Feature("frames of a GIF of other lengths", "refused", {"a.gif": animation("a.gif", duration=[40, 60, 40, 40, 40])}),
    Feature(
        "images of different sizes in a folder",
        "refused",
        {"sizes": pictures(lambda frame: Image.new("RGB", (16, 16 + frame)), "{}.png")},
    ),
    Feature(
        "a movie's display matrix",
        "turned or mirrored as shown",
        {name: _with_matrix(*matrix) for name, (matrix, _) in MATRICES.items()},
        lambda name: MATRICES[name][1](shot()),
        3,
    ),
    Feature("a display matrix of no right angle", "refused", {"askew": _with_matrix(1, 1, -1, 1)}),
    Feature(
        "pixels of a movie that are not square",
        "resampled to square ones",
        {
            "wide": movie("a.mp4", *H264, _plain_colour(), options=EXACT, setting=_aspect(2, 1)),
            "tall": movie("a.mp4", *H264, _plain_colour(), options=EXACT, setting=_aspect(1, 2)),
        },
        lambda name: _plain_colour(16, 64) if name == "wide" else _plain_colour(32, 32),
        3,
    ),
    Feature(
        "full and limited range, BT.601 and BT.709",
        "converted by what the stream says; BT.601 where it says nothing",
        {
            "limited 601": movie("a.mp4", *H264, options=EXACT),
            "full 601": movie("a.mp4", *H264, options=EXACT, full_range=True),
            "limited 709": movie("a.mp4", *H264, options=EXACT, matrix=1),
            "full 709": movie("a.mp4", *H264, options=EXACT, matrix=1, full_range=True),
        },
        _plain,
        3,
    ),
    Feature(
        "10 and 16 bits a channel in a movie",
        "brought to 8",
        {
            "10": movie("a.mp4", "libx264", "yuv444p10le", options=EXACT),
            "16": movie("a.mkv", "ffv1", "yuv444p16le"),
        },
        _plain,
        3,
    ),
    Feature(
        "16-bit grey in a movie",
        "brought to 8",
        {"a.mkv": movie("a.mkv", "ffv1", "gray16le", grey().astype(np.uint16) * 257, source="gray16le", full_range=True)},
        _grey_video,
        1,
    ),
    Feature(
        "transparency of a movie",
        "shown over black",
        {
            "a.mov": movie(
                "a.mov", "qtrle", "argb", np.stack([np.array(_half_transparent(f)) for f in range(FRAMES)]), source="rgba"
            )
        },
        _over_black,
    ),
    Feature(
        "HDR (PQ, HLG) and wide gamut (BT.2020, P3)",
        "refused",
        {
            "PQ": movie("a.mp4", *H264, setting=_tagged(color_trc=16)),
            "HLG": movie("a.mp4", *H264, setting=_tagged(color_trc=18)),
            "BT.2020": movie("a.mp4", *H264, setting=_tagged(color_primaries=9)),
            "P3": movie("a.mp4", *H264, setting=_tagged(color_primaries=12)),
        },
    ),
    Feature("colour matrices such as YCgCo", "refused", {"YCgCo": movie("a.mp4", *H264, matrix=8)}),
    Feature(
        "interlaced video",
        "refused",
        {"a.mp4": movie("a.mp4", "libx264", "yuv420p", shot(32, 32), options={"x264-params": "interlaced=1"})},
    ),
    Feature("two views in a frame", "refused", {"a.mp4": movie("a.mp4", *H264, options={"x264-params": "frame-packing=3"})}),
    Feature("a variable frame rate", "refused", {"a.mkv": movie("a.mkv", "ffv1", "bgr0", times=[0, 1, 2, 5, 6])}),
    Feature(
        "sizes that the codec pads, frames that are coded out of order",
        "cropped, in the order in which they are shown",
        {"a.mp4": movie("a.mp4", *H264, shot(18, 34), options={"x264-params": "qp=0:bframes=3:b-adapt=0"})},
        lambda _: shot(18, 34),
        3,
    ),
    Feature("several video streams", "refused", {"a.mkv": _two_streams}),
    Feature("a cover picture beside the video", "left out", {"a.mp4": _cover(video=True)}, _plain, 3),
    Feature("a cover picture and no video", "refused", {"a.mp4": _cover(video=False)}),
    Feature(
        "arrays that are not uint8",
        "refused; floating-point ones are taken by `fvd`, where `--value-range` declares their range",
        {
            name: _array("a.npy", lambda path, kind=name: np.save(path, shot().astype(kind)))
            for name in ("uint16", "int8", "bool", "float16", "float32", "complex64")
        },
    ),
    Feature(
        "arrays of objects or records",
        "refused",
        {
            "object": _array("a.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True)),
            "records": _array("a.npy", lambda path: np.save(path, np.zeros((5, 8, 8, 3), [("a", "u1")]))),
        },
    ),
    Feature(
        "Fortran order in an npy",
        "as it is",
        {"a.npy": _array("a.npy", lambda p: np.save(p, np.asfortranarray(shot())))},
        _plain,
    ),
    Feature(
        "Fortran order in an npz",
        "refused",
        {"a.npz": _array("a.npz", lambda p: np.savez(p, video=np.asfortranarray(shot())))},
    ),
    Feature("a second array in an npy", "refused", {"a.npy": _array("a.npy", _two_arrays)}),
    Feature(
        "tensors that are sparse, quantised or bfloat16",
        "refused",
        {
            "sparse": _pt(lambda: _torch_video().float().to_sparse()),
            "bfloat16": _pt(lambda: _torch_video().bfloat16()),
        },
    ),
]
