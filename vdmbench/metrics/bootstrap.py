"""Intervals over videos: how far a number would move had other videos been drawn.

Clips that were cut from one video are no independent evidence, so whole videos are drawn, each with all of its clips (the
cluster bootstrap: Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 3.8). A draw of few videos spreads
too little: its variance is that of G videos times (G - 1) / G, and it knows nothing of Student's tails. Deviations are widened
for both (Hesterberg 2015, "What teachers should know about the bootstrap", Am. Stat. 69(4), section 3.2 on narrowness bias).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit
from torch import Tensor

Statistic = Callable[[Tensor, Tensor], Tensor]


class VideoDraws:
    """Draws of whole videos with replacement, so that the windows of a video stay together.

    ``videos`` names the video of each row of a feature matrix; a draw is the rows of as many videos as there are.
    """

    def __init__(self, videos: Int[Tensor, " rows"], seed: int) -> None:
        counts = torch.unique(videos, return_counts=True)[1]
        self._rows = videos.argsort(stable=True).split(counts.tolist())
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Videos."""
        return len(self._rows)

    def __call__(self) -> Int[Tensor, " drawn"]:
        """Row indices of the next draw."""
        picked = torch.randint(len(self._rows), (len(self._rows),), generator=self._generator)
        return torch.cat([self._rows[i] for i in picked.tolist()])


def widening(videos: int, confidence: float = 0.95) -> float:
    """What deviations of a draw of so many videos are multiplied by: sqrt(G / (G - 1)) times Student's quantile over the
    normal's."""
    tail = (1 + confidence) / 2
    return math.sqrt(videos / (videos - 1)) * float(stdtrit(videos - 1, tail) / ndtri(tail))


def recentred_interval(
    value: float, replicates: Sequence[float], confidence: float = 0.95, *, wider: float = 1.0, least: float | None = 0.0
) -> tuple[float, float]:
    """Percentile interval of the bootstrap deviations, ``wider`` times, laid around ``value``.

    A resample holds repeated clips, so a Fréchet distance of it is biased upwards, and a plain percentile interval may
    not even contain the value; the spread around the replicates' mean is what the draw of clips explains (Efron &
    Tibshirani 1993, "An Introduction to the Bootstrap", section 10.6 on why such a bias is not to be corrected by moving
    the estimate). The lower end is not below ``least``, which nothing measured can be, unless the value is.
    """
    draws = torch.tensor(replicates, dtype=torch.float64)
    tail = (1 - confidence) / 2
    ends = torch.quantile(draws - draws.mean(), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    low, high = value + wider * float(ends[0]), value + wider * float(ends[1])
    return (low if least is None or value < least else max(low, least)), high


def bootstrap_interval(
    statistic: Statistic,
    real: Float[Tensor, "real features"],
    generated: Float[Tensor, "generated features"],
    *,
    real_videos: Int[Tensor, " real"] | None = None,
    generated_videos: Int[Tensor, " generated"] | None = None,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Interval of ``statistic(real, generated)`` over draws of videos on both sides; null where a side is one video.

    ``real_videos`` and ``generated_videos`` give each row's video where a video has several windows.
    """
    rows = VideoDraws(torch.arange(len(real)) if real_videos is None else real_videos, seed)
    columns = VideoDraws(torch.arange(len(generated)) if generated_videos is None else generated_videos, seed + 1)
    fewest = min(len(rows), len(columns))
    if fewest < 2:
        return None
    draws = [float(statistic(real[rows()], generated[columns()])) for _ in range(replicates)]
    value = float(statistic(real, generated))
    return recentred_interval(value, draws, confidence, wider=widening(fewest, confidence))


def interval_over_videos(
    statistic: Callable[[Int[Tensor, " drawn"]], float | None],
    videos: Int[Tensor, " clips"],
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of ``statistic`` of the clips with these indices, over draws of whole videos; ``videos`` names the
    video of each clip.

    For means and what follows smoothly from means, which a draw does not bias. Null under two videos, or where more than one
    draw in twenty has no value: too few clips have what is counted.
    """
    draw, value = VideoDraws(videos, seed), statistic(torch.arange(len(videos)))
    if len(draw) < 2 or value is None:
        return None
    values = [each for each in (statistic(draw()) for _ in range(replicates)) if each is not None]
    if len(values) < max(2, 0.95 * replicates):
        return None
    tail = (1 - confidence) / 2
    ends = torch.quantile(torch.tensor(values, dtype=torch.float64), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    wider = widening(len(draw), confidence)
    low, high = (value + wider * (float(end) - value) for end in ends)
    return low, high
