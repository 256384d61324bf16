"""How fast clips come: from the store, beside other formats, beside decoding, and beside the way of published loaders.

    python benchmarks/loading.py                                 # prints rows; about two minutes on two quiet cores
    python benchmarks/loading.py --out benchmarks/cpu/loading.json
    pip install zarr webdataset pylance                          # formats that are measured too where they are installed

Every form gives random windows of 256 frames of 32x32 of the same videos, in turns over the rounds, so that a slow moment of
the machine falls on all of them; ratios are taken within a round. All files lie in the page cache, as a set that is trained on
for hours does. MDS (mosaicml-streaming) is not measured: it cannot be imported without torchvision.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from vdmbench.data.files.folder import Folder
from vdmbench.data.loading import TrainingBatches, to_model_range
from vdmbench.data.preparing.prepare import prepare
from vdmbench.data.procedural.maze import Maze
from vdmbench.data.source import SPLITS, Source
from vdmbench.data.store.store import Store

FRAMES, SIZE, STORED, VIDEO_FRAMES = 256, 32, 64, 300
Form = Callable[[int], int]
"""Reads one batch, a function of its number; returns the frames read."""


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--batches", type=int, default=4, help="batches of 8 clips that a form reads in a round")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "load average before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(prefix="vdmbench-loading-") as folder:
        forms, sizes, absent = make_forms(Path(folder), options.videos)
        rows = measure(forms, options.rounds, options.batches)
    for row in rows:
        row["bytes"] = sizes.get(row["form"])
        print(json.dumps(row))
    for name in absent:
        print(json.dumps({"form": name, "absent": f"pip install {absent[name]}"}))
    if options.out:
        options.out.write_text(json.dumps({"machine": machine, "rows": rows, "absent": absent}, indent=1) + "\n")


def make_forms(folder: Path, videos: int) -> tuple[dict[str, Form], dict[str, int], dict[str, str]]:
    """What is compared; bytes on disk; packages that are not installed."""
    for size in (SIZE, STORED):
        write_set(folder, size, videos)
        prepare("folder", folder / f"store-{size}", source=folder / f"npy-{size}")
    forms: dict[str, Form] = {}
    for name, source, workers in sources(folder):
        forms[name] = loader(source, workers)
    store = Store(split="train", frames=FRAMES, size=SIZE, path=folder / f"store-{SIZE}")
    folder_of_npy = Folder(split="train", frames=FRAMES, size=SIZE, path=folder / f"npy-{SIZE}")
    forms["clips alone: store"] = clips(store)
    forms["clips alone: npy, a file a video"] = clips(folder_of_npy)
    forms["npy of 64 pixels, the published way"] = published(folder / f"npy-{STORED}")
    absent = {}
    for name, package, make in (
        ("clips alone: zarr, chunks of 64 frames", "zarr", zarr_form),
        ("clips alone: lance, a row a frame", "lance", lance_form),
        ("clips alone: webdataset, a npy a video, in order", "webdataset", webdataset_form),
    ):
        if importlib.util.find_spec(package) is None:
            absent[name] = "pylance" if package == "lance" else package
        else:
            forms[name] = make(folder, folder / f"npy-{SIZE}")
    where = {
        "store": f"store-{SIZE}",
        "npy": f"npy-{SIZE}",
        "npz": f"npz-{SIZE}",
        "mp4": f"mp4-{SIZE}",
        "zarr": "zarr",
        "lance": "lance",
        "webdataset": "webdataset",
    }
    sizes = {}
    for name in forms:
        kind = name.removeprefix("clips alone: ").split(",")[0].split(" ")[0]
        place = folder / (where[kind].replace(str(SIZE), str(STORED)) if "64 pixels" in name else where[kind])
        sizes[name] = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return forms, sizes, absent


def sources(folder: Path) -> Iterator[tuple[str, Source, int]]:
    """Our own readers: name, videos, threads."""

    def of(kind: type[Store] | type[Folder], name: str) -> Source:
        return kind(split="train", frames=FRAMES, size=SIZE, path=folder / name)

    for workers in (1, 2):
        yield f"store, {workers} thread{'s'[: workers - 1]}", of(Store, f"store-{SIZE}"), workers
    for workers in (1, 2):
        yield f"store of 64 pixels, {workers} thread{'s'[: workers - 1]}", of(Store, f"store-{STORED}"), workers
    yield "npy, a file a video", of(Folder, f"npy-{SIZE}"), 1
    yield "npz, compressed", of(Folder, f"npz-{SIZE}"), 1
    yield "mp4, 1 thread", of(Folder, f"mp4-{SIZE}"), 1
    yield "mp4, 2 threads", of(Folder, f"mp4-{SIZE}"), 2
    yield "mp4 of 64 pixels, 2 threads", of(Folder, f"mp4-{STORED}"), 2


def write_set(folder: Path, size: int, videos: int) -> None:
    """The same mazes as npy, and as npz and mp4."""
    for split in SPLITS:
        maze = Maze(split=split, frames=VIDEO_FRAMES, size=size)
        for kind in ("npy", "npz", "mp4"):
            (folder / f"{kind}-{size}" / split).mkdir(parents=True)
        for index in range(videos if split == "train" else 1):
            video = maze.clip(index, 0, VIDEO_FRAMES)
            np.save(folder / f"npy-{size}" / split / f"{index:04d}.npy", video)
            np.savez_compressed(folder / f"npz-{size}" / split / f"{index:04d}.npz", video=video)
            write_mp4(folder / f"mp4-{size}" / split / f"{index:04d}.mp4", video)


def write_mp4(path: Path, video: np.ndarray) -> None:
    """H.264 at its default quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], "yuv420p"
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def loader(source: Source, workers: int) -> Form:
    """The project's loader: uint8 batches, scaled by whoever asked."""
    batches = TrainingBatches(source, FRAMES, 8, seed=0)

    def read(number: int) -> int:
        made = list(batches.prefetch(4 * number, 4 * number + 4, workers=workers))
        return sum(batch.shape[0] * batch.shape[1] for batch in made)

    return read


def published(folder: Path) -> Form:
    """Load a whole video, then transform its frames one by one to floats on the CPU; torchvision resizes by Pillow too."""
    files = sorted((folder / "train").glob("*.npy"))

    def transform(frame: np.ndarray) -> torch.Tensor:
        small = Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return to_model_range(torch.from_numpy(np.array(small)).permute(2, 0, 1))

    def read(number: int) -> int:
        generator = np.random.default_rng(number)
        video = np.load(files[int(generator.integers(len(files)))])
        start = int(generator.integers(VIDEO_FRAMES - FRAMES + 1))
        return len(torch.stack([transform(frame) for frame in video[start : start + FRAMES]]))

    return read


def clips(source: Source) -> Form:
    """Clips as arrays, not batched: what a format takes by itself."""

    def read(number: int) -> int:
        return sum(len(source.clip(video, start, FRAMES)) for video, start in windows(len(source), number))

    return read


def windows(count: int, number: int) -> Iterator[tuple[int, int]]:
    """Eight random windows: number of the video, first frame."""
    generator = np.random.default_rng(number)
    for _ in range(8):
        yield int(generator.integers(count)), int(generator.integers(VIDEO_FRAMES - FRAMES + 1))


def zarr_form(folder: Path, npy: Path) -> Form:
    """One array of all frames, compressed as zarr does by default."""
    import zarr

    files = sorted((npy / "train").glob("*.npy"))
    array = zarr.create_array(
        str(folder / "zarr"), shape=(len(files) * VIDEO_FRAMES, SIZE, SIZE, 3), dtype="uint8", chunks=(64, SIZE, SIZE, 3)
    )
    for index, file in enumerate(files):
        array[index * VIDEO_FRAMES : (index + 1) * VIDEO_FRAMES] = np.load(file)

    def read(number: int) -> int:
        return sum(
            len(np.asarray(array[video * VIDEO_FRAMES + start : video * VIDEO_FRAMES + start + FRAMES]))
            for video, start in windows(len(files), number)
        )

    return read


def lance_form(folder: Path, npy: Path) -> Form:
    """One row a frame, as bytes of a fixed number."""
    import lance
    import pyarrow

    files = sorted((npy / "train").glob("*.npy"))
    frame = pyarrow.binary(SIZE * SIZE * 3)
    frames = [bytes(picture) for file in files for picture in np.load(file)]
    table = pyarrow.table({"frame": pyarrow.array(frames, frame)})
    stored = lance.write_dataset(table, str(folder / "lance"))

    def read(number: int) -> int:
        total = 0
        for video, start in windows(len(files), number):
            first = video * VIDEO_FRAMES + start
            column = stored.take(range(first, first + FRAMES)).column("frame").combine_chunks()
            buffer = (column.chunk(0) if hasattr(column, "chunk") else column).buffers()[1]
            total += len(np.frombuffer(buffer, np.uint8, FRAMES * SIZE * SIZE * 3).reshape(FRAMES, SIZE, SIZE, 3).copy())
        return total

    return read


def webdataset_form(folder: Path, npy: Path) -> Form:
    """A tar gone through in order, a random window of each video: it has no random access."""
    import webdataset

    (folder / "webdataset").mkdir()
    tar = folder / "webdataset" / "train.tar"
    with webdataset.TarWriter(str(tar)) as writer:
        for index, file in enumerate(sorted((npy / "train").glob("*.npy"))):
            writer.write({"__key__": f"{index:04d}", "npy": file.read_bytes()})

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield from webdataset.WebDataset(str(tar), shardshuffle=False, nodesplitter=lambda shards: shards)

    stream = endless()

    def read(number: int) -> int:
        total = 0
        for _, start in windows(1, number):
            total += len(np.load(io.BytesIO(next(stream)["npy"]))[start : start + FRAMES].copy())
        return total

    return read


def measure(forms: dict[str, Form], rounds: int, batches: int) -> list[dict[str, Any]]:
    """Frames per second of each form, in turns, after one untimed round; and per second of processor time, which other
    programs on the machine do not take from."""
    rates: dict[str, list[float]] = {name: [] for name in forms}
    work: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(rounds + 1):
        for name, read in forms.items():
            start, worked = time.perf_counter(), time.process_time()
            frames = sum(read(turn * batches + number) for number in range(batches))
            if turn:
                rates[name].append(frames / (time.perf_counter() - start))
                work[name].append(frames / (time.process_time() - worked))
    base = rates["npy of 64 pixels, the published way"]
    rows = []
    for name, rate in rates.items():
        quartiles = statistics.quantiles(rate, n=4)
        rows.append(
            {
                "form": name,
                "frames per second": round(statistics.median(rate)),
                "quartiles": [round(quartiles[0]), round(quartiles[2])],
                "frames per processor second": round(statistics.median(work[name])),
                "against the published way": round(statistics.median(a / b for a, b in zip(rate, base, strict=True)), 2),
            }
        )
    return rows


if __name__ == "__main__":
    main()
