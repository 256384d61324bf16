"""A Fréchet distance freed of the bias that few clips give it.

The traces and, less their own sampling error, the means of a Fréchet distance are unbiased. What is not is Tr (S_1 S_2)^{1/2}:
the fewer clips, the smaller it comes out, and by how much depends on the model, so that at equal counts a model of too small a
spread is put before a better one. Two corrections, both from the clips at hand:

1. *To first order in 1/N*, by the second derivative of the trace (perturbation of eigenvalues, Kato 1966, chapter II.2, under
   the covariance of Wishart matrices). With s the eigenvalues of (S_1 S_2)^{1/2} and n_1, n_2 degrees of freedom::

       Tr (S_1 S_2)^{1/2} = E sum(s) + (1/n_1 + 1/n_2) / 4 * sum_ij (1 + d_ij) s_i s_j / (s_i + s_j) + O(1/N^2)

2. *Of what is left*, which with few clips is most of it, by Spearman's correction for attenuation (Spearman 1904, "The proof
   and measurement of association between two things", Am. J. Psychol. 15): each side is cut into random halves. Between the
   halves of one side the trace should come out as Tr S; the factor by which it does not is what halves of this size lose, and
   the loss between real and generated halves is taken as the geometric mean of the two sides' own::

       Tr (S_r S_g)^{1/2} = t(R, G) * (Tr S_r Tr S_g / (t(R, R') t(G, G')))^{1/2}

   This is exact at any count where S_g is a multiple of S_r, a perfect model among them, and else off by O(1/N^2).

Halves hold whole videos, so that windows of one video are never compared with one another.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.metrics.bootstrap import recentred_interval
from vdmbench.metrics.frechet import Gaussian, root_values

SPLITS = 8
FEWEST_VIDEOS = 8
"""Below them halves have no covariance worth the name."""


class Sample:
    """Features of one side, with the video of each row."""

    def __init__(self, features: Float[Tensor, "rows features"], videos: Int[Tensor, " rows"] | None = None) -> None:
        self.features = features.double()
        names = torch.arange(len(features)) if videos is None else videos
        self.video = names.unique(return_inverse=True)[1]
        self.videos = int(self.video.max()) + 1

    def halves(self, generator: torch.Generator) -> tuple[Sample, Sample]:
        """Two random halves of the videos."""
        first = torch.zeros(self.videos, dtype=torch.bool)
        first[torch.randperm(self.videos, generator=generator)[: self.videos // 2]] = True
        rows = first[self.video]
        return Sample(self.features[rows], self.video[rows]), Sample(self.features[~rows], self.video[~rows])

    def drawn(self, generator: torch.Generator) -> Sample:
        """As many videos, drawn with replacement; a video drawn twice counts as two."""
        picked = torch.randint(self.videos, (self.videos,), generator=generator)
        by_video = self.video.argsort(stable=True).split(self.video.bincount().tolist())
        rows = [by_video[video] for video in picked.tolist()]
        owners = torch.arange(self.videos).repeat_interleave(torch.tensor([len(each) for each in rows]))
        return Sample(self.features[torch.cat(rows)], owners)

    def joined(self, other: Sample) -> Sample:
        """Both, as videos apart."""
        return Sample(torch.cat([self.features, other.features]), torch.cat([self.video, other.video + self.videos]))

    def error_of_mean(self) -> Float[Tensor, ""]:
        """Expected squared error of the mean, all features together, from the scatter of whole videos."""
        centred = self.features - self.features.mean(0)
        sums = torch.zeros(self.videos, centred.shape[1], dtype=torch.float64).index_add_(0, self.video, centred)
        return sums.square().sum() / len(centred) ** 2 * self.videos / (self.videos - 1)


def cross_trace(one: Gaussian, other: Gaussian, freedom: tuple[int, int]) -> Float[Tensor, ""]:
    """Tr (S_1 S_2)^{1/2} with the first correction; ``freedom`` are the clips of each side less one."""
    s = root_values(one, other)
    s = s[s > 1e-12 * s.max()]
    pairs = s[:, None] * s / (s[:, None] + s)
    return s.sum() + (1 / freedom[0] + 1 / freedom[1]) * (pairs.sum() + pairs.trace()) / 4


class _Traces:
    """Cross traces of halves, summed over splits."""

    def __init__(self) -> None:
        self.within_real = self.within_generated = self.across = 0.0

    def add(self, real: tuple[Sample, Sample], generated: tuple[Sample, Sample]) -> None:
        sides = [[(Gaussian.fit(half.features), len(half.features) - 1) for half in side] for side in (real, generated)]

        def trace(one: tuple[Gaussian, int], other: tuple[Gaussian, int]) -> float:
            return float(cross_trace(one[0], other[0], (one[1], other[1])))

        (r, s), (g, h) = sides
        self.within_real += trace(r, s)
        self.within_generated += trace(g, h)
        self.across += (trace(r, g) + trace(s, h)) / 2


def _distance(real: Sample, generated: Sample, traces: _Traces) -> float:
    totals = [float(side.features.var(0).sum()) for side in (real, generated)]
    apart = (real.features.mean(0) - generated.features.mean(0)).square().sum()
    means = float(apart - real.error_of_mean() - generated.error_of_mean())
    within = math.sqrt(traces.within_real * traces.within_generated)
    attenuated = traces.across / within if within > 0 else 1.0
    return means + sum(totals) - 2 * attenuated * math.sqrt(totals[0] * totals[1])


def debiased_distance(real: Sample, generated: Sample, *, splits: int = SPLITS, seed: int = 0) -> float:
    """Squared Fréchet distance as infinitely many clips would give it; of equal sets it scatters around 0, and may be negative.

    Needs two videos in each half, :data:`FEWEST_VIDEOS` a side to be worth anything, and :func:`videos_needed` to be trusted.
    """
    generator, traces = torch.Generator().manual_seed(seed), _Traces()
    for _ in range(splits):
        traces.add(real.halves(generator), generated.halves(generator))
    return _distance(real, generated, traces)


def debiased_interval(
    value: float, real: Sample, generated: Sample, *, replicates: int = 200, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval around the debiased ``value`` over draws of videos on both sides.

    Videos are drawn within random halves, so that no video is in both: repeats then cost all cross traces alike, and the
    second correction takes them out. One split a draw makes it wider than the scatter of ``value``; what is left of the bias
    where models differ in shape is not in it.
    """
    generator, draws = torch.Generator().manual_seed(seed), []
    for _ in range(replicates):
        sides = [tuple(half.drawn(generator) for half in side.halves(generator)) for side in (real, generated)]
        traces = _Traces()
        traces.add(*sides)  # type: ignore[arg-type]
        draws.append(_distance(sides[0][0].joined(sides[0][1]), sides[1][0].joined(sides[1][1]), traces))
    return recentred_interval(value, draws, confidence, least=None)


def effective_rank(sample: Sample, *, splits: int = SPLITS, seed: int = 0) -> float:
    """(Tr S)^2 / Tr S^2: how many features the variance is spread over. Tr S^2 comes from independent halves, unbiased."""
    generator, squared = torch.Generator().manual_seed(seed), 0.0
    for _ in range(splits):
        one, other = (half.features - half.features.mean(0) for half in sample.halves(generator))
        squared += float((one @ other.T).square().sum()) / (len(one) - 1) / (len(other) - 1)
    total = float(sample.features.var(0).sum())
    return min(total**2 * splits / squared, float(sample.features.shape[1])) if squared > 0 else 1.0


def videos_needed(rank: float, features: int) -> int:
    """Videos a side from which a debiased distance orders at least 95 of 100 pairs of models rightly.

    Three things scatter: the halves' traces, alike for all features; the total variance, the more the fewer effective features
    (``rank``) it is spread over; and, where models differ in shape, what is left of the bias, the more the longer the tail of
    ``features`` behind these. Held against measured shares by ``benchmarks/debiased_distance.py``.
    """
    return math.ceil(64 + (600 + 5.5 * features) / rank)
