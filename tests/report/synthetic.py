"""Records such as a real run leaves, made up: six variants, four lengths, three seeds, an OOM, an infeasible cell, a NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vdmbench.records import (
    Attempt,
    MetricResult,
    Parameters,
    PhaseReading,
    PlannedFor,
    PlannedMemory,
    Record,
    Rehearsal,
    ResultsFolder,
    Sampling,
    Solved,
    Spread,
    Training,
)

GIB = 2**30
VARIANTS = ("identity", "attention", "linear-attention", "s4d", "uni-mamba", "bi-mamba")
FRAMES = (16, 32, 64, 128)
SEEDS = (0, 1, 2)

# Per variant: memory at 16 frames and what a frame adds linearly and quadratically (GiB); distance; step seconds a frame.
_MEMORY = {
    "identity": (0.9, 0.030, 0.0),
    "attention": (1.0, 0.055, 0.0011),
    "linear-attention": (1.0, 0.072, 0.0),
    "s4d": (1.0, 0.048, 0.0),
    "uni-mamba": (1.0, 0.052, 0.0),
    "bi-mamba": (1.0, 0.066, 0.0),
}
_DISTANCE = {
    "identity": 910.0,
    "attention": 300.0,
    "linear-attention": 520.0,
    "s4d": 410.0,
    "uni-mamba": 395.0,
    "bi-mamba": 286.0,
}
_STEP = {
    "identity": 0.0021,
    "attention": 0.0034,
    "linear-attention": 0.0036,
    "s4d": 0.0040,
    "uni-mamba": 0.0042,
    "bi-mamba": 0.0058,
}
_TEMPORAL = {
    "identity": 0,
    "attention": 1_130_496,
    "linear-attention": 1_130_496,
    "s4d": 1_223_664,
    "uni-mamba": 1_344_496,
    "bi-mamba": 1_545_200,
}


def identity_of(variant: str, frames: int, seed: int) -> str:
    return f"{VARIANTS.index(variant) if variant in VARIANTS else 99:02d}{frames:04d}{seed:02d}".ljust(20, "0")


def make_record(
    variant: str,
    frames: int = 16,
    seed: int = 0,
    *,
    status: str = "ok",
    cohort: str | None = "a100-40gb",
    cuda: bool = True,
    card: str | None = None,
    plan_factor: float = 1.0,
    suite: str = "synthetic",
    metric: str = "fvd",
    memory_factor: float = 1.0,
    distance_factor: float = 1.0,
    step_factor: float = 1.0,
    **changes: Any,
) -> Record:
    """One record; numbers follow from its arguments alone. With a ``card``, memory is planned for it, at ``plan_factor`` of
    what the variant takes without its noise."""
    number = VARIANTS.index(variant) if variant in VARIANTS else 20
    rng = np.random.default_rng([number, frames, seed])
    base, linear, square = _MEMORY.get(variant, _MEMORY["s4d"])
    memory = int((base + linear * frames + square * frames**2) * GIB * memory_factor * (1 + 0.002 * rng.standard_normal()))
    distance = _DISTANCE.get(variant, 400.0) * (frames / 16) ** 0.35 * (1 + 0.03 * rng.standard_normal()) * distance_factor
    step = (
        _STEP.get(variant, 0.004)
        * frames
        * (1 + 0.0015 * frames * (variant == "attention"))
        * step_factor
        * (1 + 0.01 * rng.standard_normal())
    )
    steps = np.linspace(500, 100_000, 100).astype(int)
    loss = 0.02 + 0.1 * (steps / 500) ** -0.45 * (1 + distance / 4000) + 0.0006 * rng.standard_normal(len(steps))
    temporal = _TEMPORAL.get(variant, 1_200_000)
    ran, fitted = status == "ok", status != "infeasible"

    def reading(share: float) -> PhaseReading:
        peak = int(memory * share)
        return PhaseReading(
            seconds=step * 100,
            rss_peak_bytes=int(1.9 * GIB) if cuda else peak,
            rss_source="VmHWM",
            allocated_peak_bytes=peak if cuda else None,
            reserved_peak_bytes=int(peak * 1.08) if cuda else None,
        )

    fields: dict[str, Any] = {
        "identity": identity_of(variant, frames, seed),
        "suite": suite,
        "variant": variant,
        "point": {"data.frames": frames},
        "seed": seed,
        "declared": {
            "variant": variant,
            "seed": seed,
            "data": {"source": {"name": "maze"}, "frames": frames, "size": 32},
            "mixer": {"name": variant},
            "train": {"steps": 100_000, "batch_size": 8},
        },
        "attempt": Attempt(
            id=f"a{seed}",
            ordinal=1,
            host="node-1",
            boot_id="b",
            pid=1,
            process_started=1.0,
            started=f"2026-11-20T{number:02d}:{frames % 60:02d}:{seed:02d}+00:00",
        ),
        "status": status,
        "phase": None if ran else "train",
        "cohort": cohort if fitted else None,
        "message": None if ran else f"{status} in training",
        "environment": {
            "cpu": {"model": "AMD EPYC 7763"},
            "gpus": [{"name": "NVIDIA A100-SXM4-40GB"}] if cuda else [],
            "torch": {"version": "2.13.0"},
            "packages": {"numpy": "2.4.6"},
        },
        "backends": {"attention": ["math"]} if variant == "attention" else {},
    }
    if fitted:
        fields["solved"] = Solved(
            knobs={"mixer_width": 1.0},
            quantity="parameters.network",
            target=14_083_475,
            achieved=12_952_979 + temporal,
            mismatch=(temporal - 1_130_496) / 14_083_475,
            parameters=Parameters(network=12_952_979 + temporal, temporal=temporal),
            state_elements=frames * 51_200 if variant == "attention" else 65_536,
            flops_forward=frames * 412_000_000,
            flops_temporal=frames * 31_000_000,
            **_planned(card, plan_factor * (base + linear * frames + square * frames**2)),
        )
        fields["phases"] = {"build": reading(0.05), "warm-up": reading(1.02 if ran else 0.4)}
    if ran:
        fields["phases"] |= {"train": reading(1.0), "sample": reading(0.31), "evaluate": reading(0.05)}
        fields["training"] = Training(
            steps=100_000,
            step_seconds=Spread(median=step, q1=step * 0.99, q3=step * 1.02, count=200),
            frames_per_second=8 * frames / step,
            final_loss=float(loss[-10:].mean()),
            loss_steps=steps.tolist(),
            loss=loss.tolist(),
        )
        fields["sampling"] = Sampling(
            clips=2048, seconds_per_clip=step * 22, frames_per_second=frames / (step * 22), sampler="ddpm", steps=256
        )
        label = f"FVD[i3d,n=2048,f={frames}]" if metric == "fvd" else f"STE-FD[n=2048,f={frames}]"
        fields["metrics"] = {
            metric: MetricResult(
                name=label,
                value=distance,
                n_real=2048,
                n_generated=2048,
                kvd=distance / 12,
                floor=41.0,
                interval=(distance * 0.96, distance * 1.05),
                controls={"shuffled": 120.0, "frozen": 410.0},
                blind=["reversed"],
            )
        }
        if not cuda:
            live = {phase: int(memory * share) for phase, share in (("train", 1.0), ("sample", 0.31))}
            fields["rehearsal"] = Rehearsal(seconds=1.0, live_peak_bytes=live)
    return Record(**(fields | changes))


def _planned(card: str | None, gib: float) -> dict[str, Any]:
    if card is None:
        return {}
    peaks = {
        phase: PlannedMemory(
            allocated_peak_bytes=int(share * gib * GIB),
            reserved_peak_bytes=int(1.08 * share * gib * GIB),
            least_capacity_bytes=int(1.02 * share * gib * GIB),
        )
        for phase, share in (("train", 1.0), ("sample", 0.31))
    }
    return {"memory": peaks, "planned_for": PlannedFor(device=card, torch="2.13.0", packages=["triton"])}


def make_records(
    variants: tuple[str, ...] = VARIANTS, frames: tuple[int, ...] = FRAMES, seeds: tuple[int, ...] = SEEDS, **options: Any
) -> list[Record]:
    """The whole study; attention runs out of memory at the greatest length, one cell is infeasible, one seed NaN."""

    def status(variant: str, length: int, seed: int) -> str:
        if variant == "attention" and length == max(frames) and len(frames) > 1:
            return "oom"
        if variant == "linear-attention" and length == min(frames) and len(frames) > 1:
            return "infeasible"
        return "nan" if (variant, length, seed) == ("s4d", 32, 2) else "ok"

    return [
        make_record(variant, length, seed, status=status(variant, length, seed), **options)
        for variant in variants
        for length in frames
        for seed in seeds
    ]


def store(folder: Path, records: list[Record], *, clips: Callable[[Record], np.ndarray] | None = None) -> Path:
    """Leave records in a results folder, as the runner would; with ``clips`` their samples too."""
    results = ResultsFolder(folder)
    results.prepare()
    for record in records:
        started = record.model_copy(update={"status": "started", "metrics": {}})
        attempt = results.new_attempt(started)
        if clips is not None and record.status == "ok":
            np.savez(attempt.path / "samples.npz", samples=clips(record), reference=moving_squares(4, 16, seed=99))
            record = record.model_copy(update={"artifacts": {"samples": "samples.npz"}})
        results.finish(attempt, record)
    return folder


def moving_squares(clips: int, frames: int, seed: int, noise: float = 0.0, size: int = 32) -> np.ndarray:
    """uint8 (clips, frames, height, width, channels): a bright square over a slow gradient."""
    rng = np.random.default_rng(seed)
    video = np.zeros((clips, frames, size, size, 3))
    y, x = np.mgrid[:size, :size]
    for clip in range(clips):
        colour, start, speed = rng.uniform(120, 255, 3), rng.integers(0, size - 8, 2), rng.integers(-2, 3, 2)
        for frame in range(frames):
            video[clip, frame] = (60 + 50 * np.sin((x + 2 * frame) / 9) + 30 * np.cos(y / 7))[..., None] * np.array(
                [0.5, 0.7, 1.0]
            )
            top, left = (start + speed * frame) % (size - 8)
            video[clip, frame, top : top + 8, left : left + 8] = colour
    return np.clip(video + noise * rng.standard_normal(video.shape), 0, 255).astype(np.uint8)


def canonical(record: Record) -> dict[str, Any]:
    return json.loads(record.model_dump_json())
