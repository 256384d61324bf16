"""How wide the interval of a distance is when windows are drawn, as was done once, and when whole videos are drawn.

    vdmbench data record vizdoom --scenario my_way_home --episodes 40 --frames 64 --size 64 --out WALKS
    python benchmarks/interval_width.py WALKS

The two halves of the training walks stand for real and generated clips; every walk gives all its windows of 16 frames.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from vdmbench.data.files.folder import Folder
from vdmbench.data.windows import Window
from vdmbench.engine.real_clips import RealClips
from vdmbench.metrics.bootstrap import bootstrap_interval
from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.extractor import extract
from vdmbench.metrics.frechet import Gaussian, frechet_distance

FRAMES = 16


def main(folder: Path) -> None:
    source = Folder(path=folder, split="train", frames=FRAMES, size=64)
    walks = range(len(source))
    sides = [
        [Window(walk, start) for walk in walks[half::2] for start in range(0, source.length(walk) - FRAMES + 1, FRAMES)]
        for half in (0, 1)
    ]
    clips = RealClips(source, FRAMES, *sides)
    metric = ste_fd()
    real, other = (extract(metric.extractor, clips.batches(side), metric.protocol, clips.origins(side)) for side in sides)
    scale = real.features.std(0).clamp_min(0.01)

    def distance(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(frechet_distance(*(Gaussian.fit((side / scale).double()) for side in (one, two))))

    print(f"{len(real)} and {len(other)} windows of {len(real.videos.unique())} and {len(other.videos.unique())} walks")
    print(f"distance {float(distance(real.features, other.features)):.2f}")
    for unit, ids in (
        ("windows", [torch.arange(len(side)) for side in (real, other)]),
        ("videos", [real.videos, other.videos]),
    ):
        found = bootstrap_interval(
            distance, real.features, other.features, real_videos=ids[0], generated_videos=ids[1], replicates=200
        )
        assert found is not None
        print(f"drawn by {unit}: {found[0]:.2f} to {found[1]:.2f}, width {found[1] - found[0]:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
