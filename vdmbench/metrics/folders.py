"""The distance between two folders of video: streaming, resumable, with a reference that is measured once."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vdmbench.metrics.archive import cache_folder
from vdmbench.metrics.catalogue import fvd, ste_fd
from vdmbench.metrics.controls import EACH_CLIP
from vdmbench.metrics.controls import VERSION as CONTROLS_VERSION
from vdmbench.metrics.cuts import load_cut_detector
from vdmbench.metrics.extractor import ClipFeatures, Extractor, extract_batch, windows
from vdmbench.metrics.feature_store import FeatureStore
from vdmbench.metrics.frechet import TooFewClips
from vdmbench.metrics.protocol import Protocol, WindowRule
from vdmbench.metrics.reading import VideoSource, fingerprint, list_videos, read_video
from vdmbench.metrics.reference import Reference
from vdmbench.metrics.temporal import TemporalFeatures
from vdmbench.metrics.user_extractor import load_user_extractor
from vdmbench.metrics.video import InvalidVideo, ValueRange
from vdmbench.metrics.video_distance import VideoDistance

PART = 32  # videos between two writes: what an interruption costs at most
STACK_BYTES = 256 * 2**20  # of video held at once
Progress = Callable[[str, int, int], None]
"""Called with what is being measured, videos done and videos in all."""


def compare_folders(
    real: Path,
    generated: Path,
    *,
    protocol: str = "standard",
    frames: int | None = None,
    window: WindowRule | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    weights: Path | None = None,
    extractor: str | None = None,
    allow_code: bool = False,
    value_range: ValueRange = "uint8",
    limit: int | None = None,
    bootstrap: int = 200,
    confidence: float = 0.95,
    control_clips: int = 64,
    seed: int = 0,
    cuts: bool = False,
    device: str = "cpu",
    cache: Path | Literal["default"] | None = "default",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """FVD of two folders, the spatio-temporal-energy distance beside it, and how each behaves in time, as one JSON-able object.

    ``extractor`` replaces I3D by the user's own (TorchScript file or, with ``allow_code``, ``path.py:Class``), whose distance
    is not called FVD. ``limit`` takes a seeded choice of that many videos from each side; a protocol that prescribes a count
    does so by itself. Features are kept under ``cache`` (a folder, None for nowhere): a second run, or one after an
    interruption, only measures what is missing. All real videos make the reference; every second of them is, besides,
    held out against the others for floor and controls. ``cuts`` counts cuts too, which takes a network that is an extra.

    Returns ``{"metrics": [...], "real": {...}, "generated": {...}}``, results as :class:`VideoDistance` gives them; the profile
    in time of each side stands at the side. Raises :class:`InvalidVideo`, :class:`TooFewClips`, and ValueErrors of protocol and
    weights, one line each.
    """
    settings: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence, "control_clips": control_clips, "seed": seed}
    if extractor is None:
        main = fvd(protocol=protocol, frames=frames, window=window, precision=precision, weights=weights, **settings)
    else:
        own, digest = load_user_extractor(extractor, allow_code=allow_code)
        declared = Protocol(
            name=own.name,
            extractor=own.name,
            weights=digest,
            size=None,
            resize=None,
            frames=frames,
            window=window or "whole",
            scale_floor=own.scale_floor,
        )
        main = VideoDistance(own, declared, **settings)
    companion = ste_fd(frames=main.protocol.frames, stride=main.protocol.stride, window=main.protocol.window, **settings)
    distances = [main, companion]
    time = TemporalFeatures(load_cut_detector(device) if cuts else None)
    cut = main.protocol
    in_time = Measure(time, time.protocol(frames=cut.frames, stride=cut.stride, window=cut.window))
    measures = [Measure(distance.extractor, distance.protocol) for distance in distances]
    for distance in distances:
        if isinstance(distance.extractor, torch.nn.Module):
            distance.extractor.to(device)

    folder = cache_folder() / "features" if cache == "default" else cache
    count = limit or main.protocol.clips
    sides = {
        name: _Side(name, path, count, value_range, seed, folder, progress)
        for name, path in (("real", real), ("generated", generated))
    }
    if len(sides["real"].videos) < 4:
        raise TooFewClips(f"{real}: floor and controls need at least 4 real videos, got {len(sides['real'].videos)}")
    features = {name: side.measure([*measures, in_time]) for name, side in sides.items()}
    (real_frames, *_, real_rows, real_columns), (own_frames, *_, rows, columns) = (side.shape for side in sides.values())
    notes = []
    if real_frames != own_frames:
        notes.append(f"videos have {real_frames} frames real and {own_frames} generated: each is cut on its own")
    comparable = [
        i
        for i, distance in enumerate(distances)
        if distance.protocol.size != "own" or (real_rows, real_columns) == (rows, columns)
    ]
    notes += [
        f"no {distance.protocol.name.upper()}-FD stands beside it: that measures clips as they are, and at one resolution only"
        for i, distance in enumerate(distances)
        if i not in comparable
    ]
    held_out = sides["real"].videos[1::2][:control_clips]
    controls = {name: sides["real"].only(held_out, name).measure(measures) for name in EACH_CLIP}
    results = []
    for i in comparable:
        result = distances[i].judge(
            _reference(features["real"][i], {name: sets[i] for name, sets in controls.items()}), features["generated"][i]
        )
        results.append(result | {"warnings": [*result["warnings"], *notes]})
    return {
        "metrics": results,
        **{
            name: {
                "path": str(side.folder),
                "videos": len(side.videos),
                "found": side.found,
                "temporal_profile": time.profile(features[name][-1]).as_json(),
            }
            for name, side in sides.items()
        },
    }


@dataclass(frozen=True)
class Measure:
    """What is computed of each video, and how videos are cut for it."""

    extractor: Extractor
    protocol: Protocol


class _Side:
    """The videos of one folder, and their features for several distances from one reading."""

    def __init__(
        self,
        name: str,
        folder: Path,
        limit: int | None,
        value_range: ValueRange,
        seed: int,
        cache: Path | None,
        progress: Progress | None,
    ) -> None:
        self.name, self.folder, self.value_range, self.seed = name, folder, value_range, seed
        self.cache, self.progress, self.control = cache, progress, None
        self.videos: list[VideoSource] = list_videos(folder)
        self.found = len(self.videos)
        if limit is not None and limit < len(self.videos):
            chosen = sorted(random.Random(seed).sample(range(len(self.videos)), limit))
            self.videos = [self.videos[i] for i in chosen]
        self.shape: tuple[int, ...] = ()

    def only(self, videos: list[VideoSource], control: str) -> _Side:
        """The given videos of this side after a control."""
        side = _Side.__new__(_Side)
        side.__dict__ |= self.__dict__ | {"name": f"real, {control}", "videos": videos, "control": control}
        return side

    def measure(self, measures: Sequence[Measure]) -> list[ClipFeatures]:
        """Features for each measure; videos whose features are stored for all of them are not read."""
        key = fingerprint(
            self.videos, self.folder, self.value_range, *([self.control, CONTROLS_VERSION, self.seed] if self.control else [])
        )
        stores = [FeatureStore(self._place(measure.protocol, key)) for measure in measures]
        self.shape = tuple(self._read(0).shape)
        for first, batch in self._batches(min(store.videos for store in stores)):
            for measure, store in zip(measures, stores, strict=True):
                fresh = batch[max(store.videos - first, 0) :]  # the rest is kept from the last time
                if len(fresh):
                    cut = windows(fresh, measure.protocol)
                    rows = extract_batch(measure.extractor, cut.flatten(0, 1))
                    owners = torch.arange(store.videos, store.videos + len(fresh)).repeat_interleave(cut.shape[1])
                    store.append(ClipFeatures(rows, owners, cut.shape[2], (cut.shape[-2], cut.shape[-1])))
            if self.progress:
                self.progress(self.name, first + len(batch), len(self.videos))
        return [store.all() for store in stores]

    def _place(self, protocol: Protocol, key: str) -> Path | None:
        if self.cache is None:
            return None
        return self.cache / hashlib.sha256(f"{protocol.digest()} {key}".encode()).hexdigest()[:40]

    def _batches(self, start: int) -> Iterator[tuple[int, Tensor]]:
        """Stacks of videos from number ``start`` on, with the number of their first."""
        size = max(1, min(PART, STACK_BYTES // math.prod(self.shape)))
        for first in range(start, len(self.videos), size):
            stack = []
            for index in range(first, min(first + size, len(self.videos))):
                video = self._read(index)
                if video.shape != self.shape:
                    raise InvalidVideo(
                        f"{self.videos[index]}: is {tuple(video.shape)} where the first video is {self.shape} "
                        "(frames 3 height width): cut and resize alike"
                    )
                stack.append(self._damaged(video, index))
            yield first, torch.stack(stack)

    def _read(self, index: int) -> Tensor:
        return read_video(self.videos[index], self.value_range)

    def _damaged(self, video: Tensor, index: int) -> Tensor:
        """The video after this side's control, the same in every run."""
        if self.control is None:
            return video
        return EACH_CLIP[self.control](video[None], torch.Generator().manual_seed(self.seed * 1_000_003 + index))[0]


def _reference(real: ClipFeatures, controls: dict[str, ClipFeatures]) -> Reference:
    """All real clips, and every second video held out against the others for floor and controls."""
    odd = real.videos % 2 == 1
    rows = torch.arange(len(real))
    return Reference("", real, real.take(rows[odd]), controls, apart=real.take(rows[~odd]))
