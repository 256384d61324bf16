"""Prepare a data set: from an archive or a folder, in whatever layout it was published, to a store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import vdmbench
from vdmbench import registry
from vdmbench.cores import cores
from vdmbench.data.ahead import in_order
from vdmbench.data.files.published import PUBLISHED
from vdmbench.data.files.source import FileSource, StoredVideo, caption_of, check_alike
from vdmbench.data.files.video_file import Annotations, check_rows
from vdmbench.data.manifest import Manifest
from vdmbench.data.preparing.fetch import by_hand, fetch, locate
from vdmbench.data.preparing.unpack import inner_folder, is_archive, unpack
from vdmbench.data.resize import fit_square
from vdmbench.data.resumable import alone_in
from vdmbench.data.source import SPLITS, DataError, Description, Split
from vdmbench.data.store.index import Index
from vdmbench.data.store.writer import SHARD_BYTES, StoreWriter
from vdmbench.file_digests import digest_of

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is, and of how much, where that is known."""


class Prepared(NamedTuple):
    pixels: np.ndarray
    annotations: Annotations


def prepare(
    name: str,
    out: Path,
    *,
    source: Path | None = None,
    download: bool = False,
    size: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Index:
    """Make the store ``out`` of the data set ``name``; asking again goes on where an interrupted call stopped.

    Args:
        name: of a source whose videos stand in files; see ``vdmbench list datasets``.
        source: an archive (zip, tar) or a folder in that layout.
        download: fetch the archive from its public address instead, into ``<out>.raw``, where it stays.
        size: height and width to store, by exact area averages; by default the shorter side as it comes. What is longer on
            the other side is cropped.
        shard_bytes: of pixels, at which a shard is full.

    Raises:
        DataError: where something cannot be fetched, unpacked, read or written; the message names it.
    """
    layout = _layout(name)
    if (source is None) == (not download):
        raise DataError("give either a file or folder (--from) or ask for a download (--download)")
    if size is not None and size < 1:
        raise DataError(f"size must be at least 1, got {size}")
    tell = progress or (lambda what, done, total: None)
    with alone_in(out):
        raw = out.with_name(f"{out.name}.raw")
        given = _download(name, raw, tell) if source is None else source
        if not given.exists():
            raise DataError(f"{given}: no such file or folder")
        unpacked = raw / "unpacked"
        if is_archive(given):
            root = unpack(given, unpacked, progress=lambda done: tell("unpacking", done, None))
        elif given.is_dir():
            root = inner_folder(given)
        elif given.suffix == ".npy":
            root = given.parent
        else:
            raise DataError(f"{given} is neither a folder nor a zip or tar archive, or it is damaged; fetch it again")
        index = _write(name, layout, root, out, size, shard_bytes, tell)
        shutil.rmtree(unpacked, ignore_errors=True)
        if raw.is_dir() and not any(raw.iterdir()):
            raw.rmdir()
        return index


def _layout(name: str) -> type[FileSource]:
    try:
        layout = registry.sources[name].load()
    except registry.UnknownName as error:
        raise DataError(str(error)) from None
    if not (isinstance(layout, type) and issubclass(layout, FileSource)):
        raise DataError(f"'{name}' needs no preparing; 'folder' and the published data sets do")
    return layout


def _download(name: str, raw: Path, tell: Progress) -> Path:
    published = PUBLISHED.get(name)
    if published is None:
        raise DataError(f"'{name}' is published nowhere; give --from")
    if published.archive is None:
        raise DataError(f"no single archive of {published.title} is known to be published; {by_hand(published.address)}")
    return fetch(locate(published.archive), raw, progress=lambda there, total: tell("fetching", there, total))


def _write(
    name: str, layout: type[FileSource], root: Path, out: Path, size: int | None, shard_bytes: int, tell: Progress
) -> Index:
    splits: dict[Split, list[StoredVideo]] = {split: layout.find(root, split) for split in SPLITS}
    every = [video for videos in splits.values() for video in videos]
    check_alike([video.file for video in every], 1)
    side = size or min(every[0].file.height, every[0].file.width)
    manifest = Manifest.read(root)
    origin = {
        "dataset": name,
        "vdmbench": vdmbench.__version__,
        "listing": digest_of(
            {
                f"{split}/{video.name}": f"{video.file.frames}x{video.file.height}x{video.file.width}"
                for split, videos in splits.items()
                for video in videos
            }
        ),
        **({"licence": PUBLISHED[name].licence, "address": PUBLISHED[name].address} if name in PUBLISHED else {}),
        **({"recorded": dict(manifest.origin)} if manifest is not None else {}),
    }
    writer = StoreWriter(out, origin, side, shard_bytes=shard_bytes)
    done = sum(writer.kept(split) for split in SPLITS)
    for split, videos in splits.items():
        left = videos[writer.kept(split) :]
        reads = in_order(lambda video: _read(video, side), left, workers=cores(), ahead=2 * cores(), name="vdmbench-prepare")
        for video, read in zip(left, reads, strict=True):
            tell("preparing", done, len(every))
            described = None if video.label is None else Description(video.label, caption_of(video.label))
            writer.add(split, video.name, read.pixels, description=described, annotations=read.annotations)
            done += 1
    tell("preparing", done, len(every))
    return writer.finish()


def _read(video: StoredVideo, size: int) -> Prepared:
    pixels = np.ascontiguousarray(fit_square(video.file.read(0, video.file.frames), size))
    return Prepared(pixels, check_rows(video.file.annotate(), video.file))
