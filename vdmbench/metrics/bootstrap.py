"""Intervals over clips: how far a distance would move had other clips been drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
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

    def __call__(self) -> Int[Tensor, " drawn"]:
        """Row indices of the next draw."""
        picked = torch.randint(len(self._rows), (len(self._rows),), generator=self._generator)
        return torch.cat([self._rows[i] for i in picked.tolist()])


def recentred_interval(value: float, replicates: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the bootstrap deviations, laid around ``value``.

    A resample holds repeated clips, so a Fréchet distance of it is biased upwards, and a plain percentile interval may
    not even contain the value; the spread around the replicates' mean is what the draw of clips explains (Efron &
    Tibshirani 1993, "An Introduction to the Bootstrap", section 10.6 on why such a bias is not to be corrected by moving
    the estimate). The lower end is never below zero unless the value is.
    """
    draws = torch.tensor(replicates, dtype=torch.float64)
    tail = (1 - confidence) / 2
    ends = torch.quantile(draws - draws.mean(), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    low, high = value + float(ends[0]), value + float(ends[1])
    return (max(low, 0.0) if value >= 0 else low), high


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
) -> tuple[float, float]:
    """Interval of ``statistic(real, generated)`` over draws of videos on both sides.

    ``real_videos`` and ``generated_videos`` give each row's video where a video has several windows.
    """
    rows = VideoDraws(torch.arange(len(real)) if real_videos is None else real_videos, seed)
    columns = VideoDraws(torch.arange(len(generated)) if generated_videos is None else generated_videos, seed + 1)
    draws = [float(statistic(real[rows()], generated[columns()])) for _ in range(replicates)]
    return recentred_interval(float(statistic(real, generated)), draws, confidence)


def interval_over_clips(
    statistic: Callable[[Int[Tensor, " drawn"]], float | None],
    clips: int,
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of ``statistic`` of the clips with these indices, over draws of as many with replacement.

    For means and what follows smoothly from means, which a draw does not bias. Null under two clips, or where more than one
    draw in twenty has no value: too few clips have what is counted.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [statistic(torch.randint(clips, (clips,), generator=generator)) for _ in range(replicates if clips > 1 else 0)]
    values = [value for value in drawn if value is not None]
    if len(values) < max(2, 0.95 * replicates):
        return None
    tail = (1 - confidence) / 2
    low, high = torch.quantile(torch.tensor(values, dtype=torch.float64), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return float(low), float(high)
