"""From how many clips does a distance order models rightly? Synthetic models whose true distance is known, and real features.

    python benchmarks/debiased_distance.py --out benchmarks/cpu/debiased_distance.json

Real clips are drawn from a population, models from the same population with another spread (0.7, 1, 1.3 times), another mean
(by 0.2 or 0.4 of the total deviation), both, or with half the deviation of all but the quarter of features that vary most, as
of a blurred model. Their true distances are known. Populations are normal, with variances that fall by a power of their order,
and real features: spatio-temporal energy of sprites. For every count of clips, the same on both sides, and every estimate: its
bias on each model, as a share of the total variance; the share of pairs (of unlike true distance) that it orders wrongly; the
share of 95 % intervals that hold the true distance. The rule for the count that a debiased distance needs is held against these
shares.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdmbench.metrics.debiased import Sample, debiased_distance, debiased_interval, effective_rank, videos_needed
from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.kernel import kernel_distance

REPEATS = {48: 60, 64: 60, 96: 60, 128: 60, 192: 40, 256: 40, 384: 20, 512: 20, 1024: 10, 2048: 6}
WRONG = 0.05
Draw = Callable[[int], Tensor]


def power_law(features: int, exponent: float) -> tuple[Draw, Tensor]:
    """Normal features with variances k^-exponent, which sum to 1, and these variances."""
    variances = torch.arange(1, features + 1, dtype=torch.float64) ** -exponent
    variances /= variances.sum()
    return lambda count: torch.randn(count, features, dtype=torch.float64) * variances.sqrt(), variances


def sprites(count: int = 4096) -> tuple[Draw, Tensor]:
    """Spatio-temporal energy of sprites in their principal axes, so that variances are in order, as shares of the total."""
    from vdmbench.data.procedural.sprites import Sprites
    from vdmbench.metrics.extractor import extract_batch
    from vdmbench.metrics.frechet import Moments, standard_scale
    from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy

    source, extractor, rows = Sprites(split="train", frames=16, size=32), SpatioTemporalEnergy(), []
    for first in range(0, count, 32):
        clips = np.stack([source.clip(index, 0, 16) for index in range(first, first + 32)])
        rows.append(extract_batch(extractor, torch.from_numpy(clips).permute(0, 1, 4, 2, 3)))
    features = torch.cat(rows).double()
    features = (features - features.mean(0)) / standard_scale(Moments.of(features), extractor.scale_floor or 0.0)
    turned = features @ torch.linalg.svd(features, full_matrices=False).Vh.T
    turned /= turned.var(0).sum().sqrt()
    unused: list[Tensor] = []

    def draw(count: int) -> Tensor:
        """Clips that no draw of the same round has taken."""
        if not unused or len(unused[0]) < count:
            unused[:] = [torch.randperm(len(turned))]
        taken, unused[0] = unused[0][:count], unused[0][count:]
        return turned[taken]

    return draw, turned.var(0)


def models(variances: Tensor) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Name to factor of each feature's deviation, shift of the mean, and true distance."""
    features = len(variances)
    towards = variances.sqrt() * torch.randn(features, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    towards /= towards.norm()
    one = torch.ones(features, dtype=torch.float64)
    blurred = one.clone()
    blurred[features // 4 :] = 0.5
    chosen = {
        "x1": (one, 0.0), "x0.7": (0.7 * one, 0.0), "x1.3": (1.3 * one, 0.0), "shift 0.2": (one, 0.2), "shift 0.4": (one, 0.4),
        "x0.7, shift 0.2": (0.7 * one, 0.2), "x1.3, shift 0.2": (1.3 * one, 0.2), "blurred": (blurred, 0.0),
    }  # fmt: skip
    return {
        name: (factor, shift * towards, float(shift**2 + ((factor - 1) ** 2 * variances).sum()))
        for name, (factor, shift) in chosen.items()
    }


def extrapolated(real: Tensor, generated: Tensor) -> float:
    """The intercept at 1/N = 0 of distances of subsets (Chong & Forsyth 2020, section 3)."""
    inverse, values = [], []
    for count in np.linspace(len(real) // 2, len(real), 8).astype(int).tolist():
        rows, columns = torch.randperm(len(real))[:count], torch.randperm(len(generated))[:count]
        inverse.append(1 / count)
        values.append(float(raw(real[rows], generated[columns])))
    return float(np.polyfit(inverse, values, 1)[1])


def raw(real: Tensor, generated: Tensor) -> float:
    return float(frechet_distance(Gaussian.fit(real), Gaussian.fit(generated)))


def at_count(draw: Draw, variances: Tensor, count: int, repeats: int, *, all_estimates: bool) -> dict[str, Any]:
    """Bias, scatter and order of every estimate at one count."""
    found: dict[str, dict[str, list[float]]] = {}
    chosen, held, ranks = models(variances), [], []
    for _ in range(repeats):
        real = draw(count)
        side = Sample(real)
        ranks.append(effective_rank(side))
        for number, (name, (factor, shift, true)) in enumerate(chosen.items()):
            generated = draw(count) * factor + shift
            values = {"raw": raw(real, generated), "debiased": debiased_distance(side, Sample(generated))}
            values["kernel"] = float(kernel_distance(real * len(variances) ** 0.5, generated * len(variances) ** 0.5))
            if all_estimates:
                values["extrapolated"] = extrapolated(real, generated)
            if len(held) < 48 and number in (0, 2, 3, 7) and count <= 256:
                low, high = debiased_interval(values["debiased"], side, Sample(generated), replicates=40)
                held.append(low <= true <= high)
            for estimate, value in values.items():
                found.setdefault(estimate, {}).setdefault(name, []).append(value)
    pairs = [pair for pair in combinations(chosen, 2) if abs(chosen[pair[0]][2] - chosen[pair[1]][2]) > 0.01]
    answer: dict[str, Any] = {"clips": count, "repeats": repeats, "effective rank": round(float(np.mean(ranks)), 1)}
    answer["needed"] = videos_needed(float(np.median(ranks)), len(variances))
    for estimate, by_model in found.items():
        wrong = [float(np.mean((np.subtract(by_model[a], by_model[b]) * (chosen[a][2] - chosen[b][2])) <= 0)) for a, b in pairs]
        answer[estimate] = {"wrong": round(float(np.mean(wrong)), 4)}
        if estimate != "kernel":
            answer[estimate]["bias"] = {name: round(float(np.mean(by_model[name])) - chosen[name][2], 4) for name in chosen}
            answer[estimate]["deviation"] = {name: round(float(np.std(by_model[name], ddof=1)), 4) for name in chosen}
    if held:
        answer["debiased"]["intervals that hold the true distance"] = round(float(np.mean(held)), 3)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="one population, such as '111, 1.0' or 'sprites'")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    populations = [f"{features}, {exponent}" for features in (111, 400) for exponent in (0.5, 1.0, 1.5)] + ["sprites"]
    for population in [arguments.only] if arguments.only else populations:
        torch.manual_seed(0)
        if population == "sprites":
            draw, variances = sprites()
        else:
            features, exponent = population.split(", ")
            draw, variances = power_law(int(features), float(exponent))
        rows = []
        for count, repeats in REPEATS.items():
            if population == "sprites" and count > 512:
                break  # of 4,096 clips more would be drawn twice
            large = len(variances) > 200
            repeats = max(4, repeats // 4) if large else repeats
            rows.append(at_count(draw, variances, count, repeats, all_estimates=count >= 256 and not large))
            print(population, json.dumps(rows[-1]), flush=True)
        done = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        done[population] = {
            "features": len(variances),
            "effective rank": round(float(1 / variances.square().sum()), 1),
            "true distances": {name: round(true, 4) for name, (_, _, true) in models(variances).items()},
            "counts": rows,
        }
        arguments.out.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main()
