"""Memorisation: whether generated clips lie nearer to training clips than real clips do that were never trained on.

A distance between sets does not notice: training clips played back score as held-out real clips do. Here each clip is held
against training clips by how near its nearest one is *among its neighbours*: that distance over the mean of those to the
nearest 50 other training videos (so scaled by Carlini et al. 2023, "Extracting training data from diffusion models"). A copy
has nearly 0; a clip that is merely dull, and so near to everything, does not.

Generated and held-out clips are then compared by ranks, as Meehan et al. 2020 do ("A non-parametric test to detect data-copying
in generative models"), with exponential scores (Savage 1956, "Contributions to the theory of rank order statistics"): what is
nearest weighs most, so that a few copies among many clips are found too. Its p is by permutation, so that the rate of false
alarms is the declared one whatever the shape of the distances, where generated clips are drawn as held-out ones are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata
from torch import Tensor

from vdmbench.metrics.extractor import ClipFeatures

FALSE_ALARMS = 0.01
NEIGHBOURS = 50
LEAST_VIDEOS = 3  # of training, for a nearest one to have neighbours
PERMUTATIONS = 1999
BLOCK = 1024


@dataclass(frozen=True)
class Nearest:
    """Of each clip: which training clip is the nearest, how far it is, and how far over how far others are."""

    clip: Int[Tensor, " clips"]
    distance: Float[Tensor, " clips"]
    ratio: Float[Tensor, " clips"]


def memorisation(
    training: ClipFeatures, generated: ClipFeatures, held_out: ClipFeatures, *, seed: int = 0
) -> dict[str, Any] | None:
    """How near generated and held-out clips lie to training clips, as a JSON-able object; None under three training videos.

    Features are as the distance sees them, and a second time with each set about its own mean: copies that share a fault, such
    as grain, are all moved by it, away from what they copy. Returned is the view that shows more, its p doubled for two views.
    Of a video with several windows the first one counts, for they are no independent evidence; and of clips with the same
    nearest training clip one does, so that a model is not called a copier for making one clip again and again.
    """
    if len(training.videos.unique()) < LEAST_VIDEOS:
        return None
    sets = training, _first_of_each_video(generated), _first_of_each_video(held_out)
    views = []
    for among, *others in (sets, tuple(map(_about_its_mean, sets))):
        ours, theirs = (nearest(among, clips) for clips in others)
        views.append((_p_value(ours, theirs, seed), ours, theirs))
    p, ours, theirs = min(views, key=lambda view: view[0])
    p = min(1.0, len(views) * p)  # Bonferroni
    return {
        "training_clips": len(training),
        "training_videos": len(training.videos.unique()),
        "clips": len(ours.ratio),
        "held_out_clips": len(theirs.ratio),
        "nearest": float(ours.distance.median()),
        "nearest_held_out": float(theirs.distance.median()),
        "ratio": float(ours.ratio.median()),
        "ratio_held_out": float(theirs.ratio.median()),
        "nearer": int((ours.ratio < theirs.ratio.min()).sum()),
        "p": p,
        "alarm": p <= FALSE_ALARMS,
    }


def nearest(training: ClipFeatures, clips: ClipFeatures) -> Nearest:
    """The nearest training clip of each clip, and how much nearer than others it is; Euclidean, float64."""
    own, order = training.videos.unique(return_inverse=True)
    among = training.features.double()
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for rows in clips.features.double().split(BLOCK):
        gaps = torch.cdist(rows, among, compute_mode="donot_use_mm_for_euclid_dist")
        distance, clip = gaps.min(1)
        of_video = torch.full((len(rows), len(own)), torch.inf, dtype=torch.float64)
        of_video.scatter_reduce_(1, order.expand(len(rows), -1), gaps, "amin")
        others = of_video.sort(1).values[:, 1 : NEIGHBOURS + 1].mean(1)
        ratio = torch.where(others > 0, distance / others, 1.0)  # among training videos that are all alike nothing is a copy
        found.append((clip, distance, ratio))
    clip, distance, ratio = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Nearest(clip, distance, ratio)


def _about_its_mean(clips: ClipFeatures) -> ClipFeatures:
    return replace(clips, features=clips.features - clips.features.mean(0))


def _first_of_each_video(clips: ClipFeatures) -> ClipFeatures:
    _, of = np.unique(clips.videos.numpy(), return_index=True)
    return clips.take(torch.from_numpy(np.sort(of)))


def _p_value(ours: Nearest, theirs: Nearest, seed: int) -> float:
    """One-sided: how often a random division of all clips into two such sets has the first at least as near."""
    ratios = torch.cat([ours.ratio, theirs.ratio]).numpy()
    neighbours = torch.cat([ours.clip, theirs.clip]).numpy()
    scores = -np.log((rankdata(ratios) - 0.5) / len(ratios)) - 1  # 0 in the mean
    # Columns by nearest training clip; of each division, places in a random order whose first ones are called generated.
    grouped = np.argsort(neighbours, kind="stable")
    starts = np.flatnonzero(np.diff(neighbours[grouped], prepend=-1))
    generator, every = np.random.default_rng(seed), np.arange(len(ratios))
    order = np.stack([every, *(generator.permutation(every) for _ in range(PERMUTATIONS))])
    places = np.argsort(order, axis=1)  # of clip i in each order
    first = np.minimum.reduceat(places[:, grouped], starts, axis=1)  # of each group: the clip that counts, if generated
    if (first[0] < len(ours.ratio)).sum() < 2:
        return 1.0  # one clip is no evidence, however often it is made
    counted = scores[np.take_along_axis(order, first, axis=1)] * (first < len(ours.ratio))
    nearer = counted.sum(1)
    return float((nearer >= nearer[0] - 1e-9).mean())
