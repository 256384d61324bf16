from __future__ import annotations

import math

import pytest
import torch

from vdmbench.metrics.frechet import Gaussian, Moments, TooFewClips, frechet_distance, standard_scale


def features(count: int, size: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64) / size**0.5
    return spread * torch.randn(count, size, generator=generator, dtype=torch.float64) @ mixing + shift


def distance(x: torch.Tensor, y: torch.Tensor, divisor: str = "n-1") -> float:
    return float(frechet_distance(Gaussian.fit(x, divisor), Gaussian.fit(y, divisor)))


def symmetric_root_form(x: torch.Tensor, y: torch.Tensor) -> float:
    """The textbook form by eigenvalues of S1^(1/2) S2 S1^(1/2), written apart from the library."""
    values, vectors = torch.linalg.eigh(x.T.cov())
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    trace = torch.linalg.eigvalsh(root @ y.T.cov() @ root).clamp_min(0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + x.T.cov().trace() + y.T.cov().trace() - 2 * trace)


def whitened(count: int, size: int, seed: int) -> torch.Tensor:
    """Samples whose mean is exactly zero and whose covariance is exactly the identity."""
    x = features(count, size, seed)
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T


def test_commuting_gaussians_have_the_closed_form():
    x, y = whitened(60, 5, 0), whitened(80, 5, 1)
    one = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    other = torch.tensor([2.0, 2.0, 1.0, 0.5, 7.0], dtype=torch.float64)
    offset = torch.tensor([0.0, 1.0, 0.0, -2.0, 0.0], dtype=torch.float64)
    expected = float((one - other).square().sum() + offset.square().sum())
    assert distance(x * one, y * other + offset) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("counts", [(60, 50), (60, 12), (9, 8), (20, 21), (2, 2)])
def test_equals_the_symmetric_root_form_for_any_count(counts):
    x, y = features(counts[0], 20, 0), features(counts[1], 20, 1, spread=1.7, shift=0.3)
    assert distance(x, y) == pytest.approx(symmetric_root_form(x, y), rel=1e-6)


def test_rank_deficient_trace_is_exact_where_the_answer_is_known():
    # Two clips a side along orthogonal directions: S1 S2 = 0, so nothing is subtracted from the traces.
    x, y = torch.zeros(2, 50, dtype=torch.float64), torch.zeros(2, 50, dtype=torch.float64)
    x[0, 0], x[1, 0], y[0, 1], y[1, 1] = 1, -1, 3, -3
    assert distance(x, y) == pytest.approx(2 + 18, rel=1e-12)
    assert distance(x, 3 * x) == pytest.approx(2 * (3 - 1) ** 2, rel=1e-12)


@pytest.mark.parametrize("count", [7, 40])
def test_a_set_is_at_no_distance_from_itself(count):
    x = features(count, 20, 0)
    assert distance(x, x.flip(0)) == pytest.approx(0, abs=1e-9)
    assert distance(x, x + 2) == pytest.approx(4 * 20, rel=1e-9)


@pytest.mark.parametrize("count", [8, 64])
def test_streaming_sums_equal_the_batch(count):
    x, y = features(count, 16, 0), features(count, 16, 1, shift=0.5)
    streamed = [
        Gaussian.from_moments(sum((Moments.of(part) for part in side.split(3)[1:]), Moments.of(side.split(3)[0])))
        for side in (x, y)
    ]
    assert float(frechet_distance(*streamed)) == pytest.approx(distance(x, y), rel=1e-7)


def test_the_divisor_is_what_it_says():
    x, y = features(10, 3, 0), features(10, 3, 1)
    offset = float((x.mean(0) - y.mean(0)).square().sum())
    unbiased, biased = distance(x, y, "n-1") - offset, distance(x, y, "n") - offset
    assert biased / unbiased == pytest.approx(9 / 10, rel=1e-10)


def test_scaled_sums_equal_scaled_features():
    x, y = features(40, 6, 0), features(40, 6, 1)
    scale = standard_scale(Moments.of(x), 0.01)
    assert torch.allclose(scale, x.std(0))
    moments = [Gaussian.from_moments(Moments.of(side).scaled(scale)) for side in (x, y)]
    assert float(frechet_distance(*moments)) == pytest.approx(distance(x / scale, y / scale), rel=1e-9)


def test_a_constant_feature_is_divided_by_the_floor():
    assert standard_scale(Moments.of(torch.ones(5, 2)), 0.01).tolist() == pytest.approx([0.01, 0.01])


def test_one_clip_is_refused():
    with pytest.raises(TooFewClips, match="at least 2 clips on each side, got 1"):
        Gaussian.fit(torch.zeros(1, 4))
    with pytest.raises(TooFewClips):
        Gaussian.from_moments(Moments.of(torch.zeros(1, 4)))


def test_the_distance_falls_with_the_count_as_its_bias_does():
    floors = [distance(features(n, 10, 0)[: n // 2], features(n, 10, 0)[n // 2 :]) for n in (40, 160, 640)]
    assert floors[0] > 2 * floors[1] > 4 * floors[2]
    assert math.isfinite(floors[0])
