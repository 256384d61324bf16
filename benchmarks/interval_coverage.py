"""How often an interval over videos holds the truth, on made-up features whose windows hang together within a video.

    python benchmarks/interval_coverage.py --runs 400

A window's features are those of its video plus as much of its own (intraclass correlation 0.5), windows in fours. Two numbers:
a mean of one side, whose truth is 0; and the Fréchet distance of two sides, whose truth is its mean over all runs at the same
counts, for its interval is of the draw of videos and not of the bias. Beside each, the same with windows drawn as if videos.
"""

from __future__ import annotations

import argparse
import math

import torch

from vdmbench.metrics.bootstrap import bootstrap_interval, interval_over_videos
from vdmbench.metrics.frechet import Gaussian, frechet_distance

WINDOWS, FEATURES, CONFIDENCE = 4, 8, 0.95


def side(videos: int, features: int, generator: torch.Generator, shift: float = 0.0) -> torch.Tensor:
    """(videos x windows, features)."""
    of_video = torch.randn(videos, 1, features, generator=generator, dtype=torch.float64)
    of_window = torch.randn(videos, WINDOWS, features, generator=generator, dtype=torch.float64)
    return ((of_video + of_window) / 2**0.5).flatten(0, 1) + shift


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return frechet_distance(Gaussian.fit(one), Gaussian.fit(other))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--videos", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    runs = parser.parse_args().runs
    videos_of = parser.parse_args().videos
    print("| videos a side | mean, over videos | mean, over windows | distance, over videos | distance, over windows |")
    print("|---:|---:|---:|---:|---:|")
    for videos in videos_of:
        generator = torch.Generator().manual_seed(videos)
        clusters, apart = torch.arange(videos).repeat_interleave(WINDOWS), torch.arange(videos * WINDOWS)
        held = {(what, unit): 0 for what in ("mean", "distance") for unit in ("videos", "windows")}
        values, intervals = [], []
        for run in range(runs):
            x = side(videos, 1, generator)[:, 0]
            one, other = side(videos, FEATURES, generator), side(videos, FEATURES, generator, shift=1.0)
            values.append(float(distance(one, other)))
            for unit, ids in (("videos", clusters), ("windows", apart)):
                mean = interval_over_videos(lambda rows, x=x: float(x[rows].mean()), ids, replicates=400, seed=run)
                assert mean is not None
                held["mean", unit] += mean[0] <= 0 <= mean[1]
                both = {"real_videos": ids, "generated_videos": ids}
                found = bootstrap_interval(distance, one, other, replicates=200, confidence=CONFIDENCE, seed=run, **both)
                assert found is not None
                intervals.append((unit, found))
        truth = sum(values) / runs
        for unit, (low, high) in intervals:
            held["distance", unit] += low <= truth <= high
        shares = [held[key] / runs for key in held]
        print(f"| {videos} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)
    print(f"\n{runs} runs each: one standard error at 95 % is {100 * math.sqrt(0.95 * 0.05 / runs):.1f} points")


if __name__ == "__main__":
    main()
