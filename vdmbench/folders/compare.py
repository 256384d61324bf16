"""The distance between two folders of video: streaming, resumable, with a reference that is measured once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from vdmbench.folders.side import Measure, Progress, Side
from vdmbench.metrics.archive import cache_folder
from vdmbench.metrics.catalogue import fvd, ste_fd
from vdmbench.metrics.controls import EACH_CLIP
from vdmbench.metrics.cuts import load_cut_detector
from vdmbench.metrics.extractor import ClipFeatures
from vdmbench.metrics.frechet import TooFewClips
from vdmbench.metrics.protocol import Protocol, WindowRule
from vdmbench.metrics.reference import Reference
from vdmbench.metrics.temporal import TemporalFeatures
from vdmbench.metrics.user_extractor import load_user_extractor
from vdmbench.metrics.video import ValueRange
from vdmbench.metrics.video_distance import VideoDistance


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

    Returns ``{"metrics": [...], "real": {...}, "generated": {...}, "notes": [...]}``, results as :class:`VideoDistance` gives
    them; the profile in time of each side stands at the side; notes say what of the folders is not read. Real files of one
    content count as one video. Raises :class:`~vdmbench.data.source.DataError`, :class:`~vdmbench.metrics.video.InvalidVideo`,
    :class:`TooFewClips`, and ValueErrors of protocol and weights, one line each.
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
        name: Side(name, path, count, value_range, seed, folder, progress, copies_are_one=name == "real")
        for name, path in (("real", real), ("generated", generated))
    }
    apart = len(set(sides["real"].numbers))
    if apart < 4:
        raise TooFewClips(f"{real}: floor and controls need at least 4 real videos, got {apart}")
    features = {name: side.measure([*measures, in_time]) for name, side in sides.items()}
    held_out = [place for place, number in enumerate(sides["real"].numbers) if number % 2][:control_clips]
    controls = {name: sides["real"].only(held_out, name).measure(measures) for name in EACH_CLIP}
    alike = sides["real"].shape[2:] == sides["generated"].shape[2:]
    comparable = [i for i, distance in enumerate(distances) if alike or distance.protocol.size != "own"]
    notes = _notes(sides) + [
        f"no {distance.protocol.name.upper()}-FD stands beside it: that measures clips as they are, and at one resolution only"
        for i, distance in enumerate(distances)
        if i not in comparable
    ]
    results = []
    for i in comparable:
        result = distances[i].judge(
            _reference(features["real"][i], {name: sets[i] for name, sets in controls.items()}), features["generated"][i]
        )
        results.append(result | {"warnings": [*result["warnings"], *notes]})
    return {
        "metrics": results,
        "notes": [note for side in sides.values() for note in side.notes],
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


def _notes(sides: dict[str, Side]) -> list[str]:
    """What its reader must know of the videos that a distance is of."""
    real, generated = sides["real"], sides["generated"]
    notes = [f"{side.copies} {name} videos are copies of others" for name, side in sides.items() if side.copies]
    shared = sum(content in set(real.contents) for content in generated.contents)
    if shared:
        notes.append(f"{shared} generated videos are copies of real ones")
    if real.shape[0] != generated.shape[0]:
        notes.append(f"videos have {real.shape[0]} frames real and {generated.shape[0]} generated: each is cut on its own")
    return notes


def _reference(real: ClipFeatures, controls: dict[str, ClipFeatures]) -> Reference:
    """All real clips, and every second video held out against the others for floor and controls."""
    odd = real.videos % 2 == 1
    rows = torch.arange(len(real))
    return Reference("", real, real.take(rows[odd]), controls, apart=real.take(rows[~odd]))
