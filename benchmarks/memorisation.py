"""How often the test for copies raises an alarm: honest clips, bad ones, and 5 to 100 % of copies, by number of clips.

    python benchmarks/memorisation.py --vizdoom WALKS --out benchmarks/cpu/memorisation.json

Synthetic features (84, of falling variance), and spatio-temporal-energy features of sprites and of recorded ViZDoom walks (see
benchmarks/controls.py) at 16 pixels. Each run draws other training, held-out and generated clips. Copies of
real clips are played back with noise of 2 % of the range.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vdmbench import registry
from vdmbench.data.loading import reference_clips
from vdmbench.metrics.controls import noise
from vdmbench.metrics.extractor import ClipFeatures, extract_batch
from vdmbench.metrics.memorisation import memorisation
from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy

FEATURES, FRAMES, SIZE, TRAINING, HELD_OUT = 84, 16, 16, 4, 2
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
Sets = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training clips, the same as a model would copy them, held-out clips, generated clips."""


def main() -> None:
    """Print a row for each kind of clips and count; write all with ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vizdoom", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [row("synthetic", clips, chosen.runs, synthetic, bad=True) for clips in (32, 64)]
    rows.append(row("sprites", 64, chosen.runs, drawn_from("sprites", {"train_videos": 1024})))
    if chosen.vizdoom:  # 64 walks, none of which stands on two sides
        rows.append(row("vizdoom", 12, chosen.runs, drawn_from("folder", {"path": str(chosen.vizdoom)}, training=28)))
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")


def row(
    name: str, clips: int, runs: int, draw: Callable[[int, torch.Generator], Sets], *, bad: bool = False
) -> dict[str, object]:
    """Share of runs with an alarm, by what was generated."""
    alarms: dict[str, int] = {}
    for run in range(runs):
        training, copies, held_out, honest = draw(clips, torch.Generator().manual_seed(run))
        made = {"honest": honest}
        if bad:
            middle = honest.mean(0)
            made |= {"spread x 0.7": middle + 0.7 * (honest - middle), "one clip repeated": honest[:1].expand_as(honest)}
        for share in SHARES:
            some = round(share * clips)
            made[f"{share:.0%} copies"] = torch.cat([copies[:some], honest[some:]])
        for kind, features in made.items():
            found = memorisation(*map(as_clips, (training, features, held_out)), seed=run)
            alarms[kind] = alarms.get(kind, 0) + (found is not None and found["alarm"])
    result = {"clips of": name, "generated": clips, "runs": runs, "alarms": {kind: n / runs for kind, n in alarms.items()}}
    print(json.dumps(result), flush=True)
    return result


def synthetic(clips: int, generator: torch.Generator) -> Sets:
    """Independent normal features."""
    scale = torch.linspace(0, 2, FEATURES).neg().exp()
    sizes = (TRAINING * clips, HELD_OUT * clips, clips)
    training, held_out, honest = (scale * torch.randn(size, FEATURES, generator=generator) for size in sizes)
    return training, training + 0.1 * scale * torch.randn(training.shape, generator=generator), held_out, honest


def drawn_from(source: str, options: dict[str, object], training: int | None = None) -> Callable[[int, torch.Generator], Sets]:
    """Divides the videos of a source anew in each run."""
    videos = registry.sources[source].load()(split="train", frames=FRAMES, size=SIZE, **options)
    clips = torch.cat(list(reference_clips(videos, FRAMES, len(videos))))
    extractor = SpatioTemporalEnergy()
    features = extract_batch(extractor, clips)
    noisy = extract_batch(extractor, noise(clips, torch.Generator().manual_seed(0)))
    mean, scale = features.mean(0), features.std(0).clamp_min(0.01)
    features, noisy = (features - mean) / scale, (noisy - mean) / scale

    def draw(count: int, generator: torch.Generator) -> Sets:
        order = torch.randperm(len(features), generator=generator)
        ends = torch.tensor([training or TRAINING * count, HELD_OUT * count, count]).cumsum(0)
        read, held_out, honest, _ = order.tensor_split(ends)
        return features[read], noisy[read], features[held_out], features[honest]

    return draw


def as_clips(features: Tensor) -> ClipFeatures:
    """Each a video of its own."""
    return ClipFeatures(features, torch.arange(len(features)), FRAMES, (SIZE, SIZE))


if __name__ == "__main__":
    main()
