"""What FVD costs: I3D per clip in each form, and the trace term, beside what peers do, all in one run.

    python benchmarks/fvd.py                   # prints rows; about a minute on two quiet cores
    python benchmarks/fvd.py --out benchmarks/cpu/fvd.json
    python benchmarks/fvd.py --device cuda --clips 16

Forms take turns over the rounds, so that a slow moment of the machine falls on all of them; ratios are taken within a
round. Needs the I3D weights (`vdmbench weights fetch`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scipy.linalg
import torch
from torch import Tensor

from vdmbench.metrics.extractor import extract_batch
from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.i3d.checkpoint import load_into, read_checkpoint
from vdmbench.metrics.i3d.features import I3DFeatures
from vdmbench.metrics.i3d.network import I3D
from vdmbench.metrics.i3d.weights import cached_weights, load_i3d

REST = 0.3
FEATURES = 400
BUSY_CLIPS = 64


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--clips", type=int, default=2, help="clips in a forward")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "scipy": scipy.__version__,
        "device": options.device,
        "load average before": os.getloadavg()[0],
    }
    if options.device == "cuda":
        machine["gpu"] = torch.cuda.get_device_name()
    rows = [*extractor_rows(options.device, options.rounds, options.clips), *trace_rows(options.rounds)]
    if options.device == "cuda":
        rows.append(busy_row())
    report = {"machine": machine, "rows": rows}
    for row in rows:
        print(json.dumps(row))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def extractor_rows(device: str, rounds: int, clips: int) -> list[dict[str, Any]]:
    """Seconds a clip of 16 frames at 224 pixels, for each form of the network."""
    # As the extractor runs it; without TF32, as it does.
    torch.backends.cudnn.allow_tf32 = False
    load_i3d()  # fetches and tests the weights where they are not cached
    eager = I3D().eval().requires_grad_(False)
    load_into(eager, read_checkpoint(cached_weights()))
    eager.to(device)
    folded = load_i3d()[0].to(device).to(memory_format=torch.contiguous_format)
    ours = load_i3d()[0].to(device)
    video = torch.rand(clips, 3, 16, 224, 224, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    last = video.contiguous(memory_format=torch.channels_last_3d)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; it is here because peers ship it
        script = torch.jit.trace(eager, video)
        if device == "cpu":
            script = torch.jit.optimize_for_inference(script)

    def half() -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            return ours(last)

    forms: dict[str, Callable[[], Tensor]] = {
        "eager": lambda: eager(video),
        "torchscript": lambda: script(video),
        "folded": lambda: folded(video),
        "folded, channels last": lambda: ours(last),
        "folded, channels last, bf16": half,
    }
    times = take_turns(forms, rounds, device)
    return [
        {
            "what": "i3d seconds per clip",
            "form": form,
            "median": statistics.median(seconds) / clips,
            "quartiles": quartiles([s / clips for s in seconds]),
            "against eager": ratio(times["eager"], seconds),
        }
        for form, seconds in times.items()
    ]


def busy_row() -> dict[str, Any]:
    """Share of the wall time in which a CUDA device computes, over 64 clips from uint8 on the host to features there."""
    features = I3DFeatures().cuda()
    clips = torch.randint(0, 256, (BUSY_CLIPS, 16, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    extract_batch(features, clips)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        start = time.perf_counter()
        extract_batch(features, clips)
        seconds = time.perf_counter() - start
    kernels = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.self_device_time_total for event in kernels) / 1e6
    return {
        "what": f"share of time that the device computes, {BUSY_CLIPS} clips of 16x64x64",
        "seconds": seconds,
        "busy": busy / seconds,
        "kernels": len(kernels),
        "seconds per clip": seconds / BUSY_CLIPS,
    }


def trace_rows(rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of a distance of two sets of 400 features, from features fitted before."""
    rows = []
    for count in (64, 256, 2048):
        generator = torch.Generator().manual_seed(0)
        spectrum = torch.logspace(0, -2, FEATURES, dtype=torch.float64)
        sides = [torch.randn(count, FEATURES, generator=generator, dtype=torch.float64) * spectrum for _ in range(2)]
        fitted = [Gaussian.fit(side) for side in sides]
        covariances = [side.T.cov().numpy() for side in sides]
        forms: dict[str, Callable[[], Any]] = {
            "scipy sqrtm": lambda c=covariances: scipy.linalg.sqrtm(c[0] @ c[1]),  # type: ignore[misc]
            "ours": lambda f=fitted: frechet_distance(*f),  # type: ignore[misc]
        }
        times = take_turns(forms, rounds, "cpu")
        rows += [
            {
                "what": f"trace term milliseconds at {count} clips",
                "form": form,
                "median": 1e3 * statistics.median(seconds),
                "quartiles": quartiles([1e3 * s for s in seconds]),
                "against sqrtm": ratio(times["scipy sqrtm"], seconds),
            }
            for form, seconds in times.items()
        ]
    return rows


def take_turns(forms: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each form in each round, after one untimed call of all.

    PyTorch and SciPy bring a pool of threads each, and those of the form before go on spinning for a while: a rest lets them
    sleep, or a form of one millisecond is timed beside what another has left behind.
    """
    times: dict[str, list[float]] = {name: [] for name in forms}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, form in forms.items():
                time.sleep(REST)
                start = time.perf_counter()
                form()
                if device == "cuda":
                    torch.cuda.synchronize()
                if number:
                    times[name].append(time.perf_counter() - start)
    return times


def quartiles(values: list[float]) -> list[float]:
    """First and third quartile."""
    cut = statistics.quantiles(values, n=4)
    return [cut[0], cut[2]]


def ratio(base: list[float], other: list[float]) -> float:
    """Median over rounds of how many times ``other`` goes into ``base``."""
    return statistics.median(b / o for b, o in zip(base, other, strict=True))


if __name__ == "__main__":
    main()
