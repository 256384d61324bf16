from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.debiased import (
    Sample,
    cross_trace,
    debiased_distance,
    debiased_interval,
    effective_rank,
    videos_needed,
)
from vdmbench.metrics.extractor import ClipFeatures
from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.reference import Reference

FEATURES, SIZE = 60, (16, 16)
VARIANCES = torch.arange(1, FEATURES + 1, dtype=torch.float64) ** -1.0
TOTAL = float(VARIANCES.sum())


def _drawn(count: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(count, FEATURES, generator=generator, dtype=torch.float64) * VARIANCES.sqrt()


def _raw(real: torch.Tensor, generated: torch.Tensor) -> float:
    return float(frechet_distance(Gaussian.fit(real), Gaussian.fit(generated)))


@pytest.mark.parametrize("count", [64, 256])
@pytest.mark.parametrize("spread", [0.7, 1.0, 1.3])
def test_its_mean_is_the_true_distance_also_of_fewer_clips_than_a_covariance_needs(count, spread) -> None:
    true = (spread - 1) ** 2 * TOTAL
    found = torch.tensor(
        [debiased_distance(Sample(_drawn(count, seed)), Sample(_drawn(count, 100 + seed, spread))) for seed in range(24)]
    )
    assert abs(float(found.mean()) - true) < 3 * float(found.std()) / 24**0.5 + 0.005 * TOTAL
    assert _raw(_drawn(count, 0), _drawn(count, 1)) > (0.3 if count == 64 else 0.07) * TOTAL  # what it is free of


def test_a_narrow_model_is_not_put_before_a_perfect_one() -> None:
    wrong = {"raw": 0, "debiased": 0}
    for seed in range(10):
        real, narrow, perfect = _drawn(48, seed), _drawn(48, 50 + seed, 0.7), _drawn(48, 100 + seed)
        wrong["raw"] += _raw(real, narrow) < _raw(real, perfect)
        wrong["debiased"] += debiased_distance(Sample(real), Sample(narrow)) < debiased_distance(Sample(real), Sample(perfect))
    assert wrong["raw"] >= 8
    assert wrong["debiased"] <= 1


def test_the_first_correction_is_that_of_a_wishart_matrix() -> None:
    """Between independent covariances of 400 clips the trace is short by some per cent; corrected, by a tenth of that."""
    plain, corrected = [], []
    for seed in range(12):
        one, other = Gaussian.fit(_drawn(400, seed)), Gaussian.fit(_drawn(400, 100 + seed))
        plain.append(float(cross_trace(one, other, (10**12, 10**12))))
        corrected.append(float(cross_trace(one, other, (399, 399))))
    short, left = (1 - float(torch.tensor(values).mean()) / TOTAL for values in (plain, corrected))
    assert 0.01 < short < 0.08
    assert abs(left) < 0.2 * short


def test_windows_of_a_video_stay_together() -> None:
    """Sixteen copies of each of 24 videos: taken for 384 videos, halves share videos, and nothing seems to be lost."""
    videos = torch.arange(24).repeat_interleave(16)
    real, fake = _drawn(24, 0).repeat_interleave(16, 0), _drawn(24, 1).repeat_interleave(16, 0)
    by_video = debiased_distance(Sample(real, videos), Sample(fake, videos))
    by_window = debiased_distance(Sample(real), Sample(fake))
    assert abs(by_video) < 0.3 * TOTAL
    assert by_window > 0.6 * TOTAL
    assert Sample(real, videos).error_of_mean() == pytest.approx(float(Sample(_drawn(24, 0)).error_of_mean()))


def test_the_interval_holds_the_true_distance() -> None:
    true = 0.09 * TOTAL
    held = 0
    for seed in range(8):
        real, fake = Sample(_drawn(128, seed)), Sample(_drawn(128, 200 + seed, 1.3))
        value = debiased_distance(real, fake)
        low, high = debiased_interval(value, real, fake, replicates=30)
        held += low <= true <= high
        assert low < value < high
    assert held >= 7


def test_effective_rank_does_not_depend_on_the_count() -> None:
    true = TOTAL**2 / float(VARIANCES.square().sum())
    assert effective_rank(Sample(_drawn(48, 3))) == pytest.approx(true, rel=0.3)
    assert effective_rank(Sample(_drawn(2000, 3))) == pytest.approx(true, rel=0.1)
    assert videos_needed(2.0, 111) > videos_needed(20.0, 111)
    assert videos_needed(20.0, 400) > videos_needed(20.0, 111)


def _judged(count: int):
    metric = ste_fd(bootstrap=20, control_clips=8)
    sets = [
        ClipFeatures(_drawn(size, seed).float(), torch.arange(size), 8, SIZE) for size, seed in ((count, 0), (count, 1), (8, 2))
    ]
    reference = Reference("key", sets[0], sets[1], {name: sets[2] for name in ("shuffled", "frozen")})
    return metric.judge(reference, ClipFeatures(_drawn(count, 5).float(), torch.arange(count), 8, SIZE))


def test_under_the_count_that_it_needs_it_is_null_and_the_count_is_said() -> None:
    few, enough = _judged(32), _judged(160)
    assert (few["debiased"], few["debiased_interval"]) == (None, None)
    assert 64 < few["debiased_needs"] < 160
    assert any(f"{few['debiased_needs']} videos a side would do" in warning for warning in few["warnings"])
    assert enough["debiased_interval"][0] < enough["debiased"] < enough["debiased_interval"][1]
    assert not any("debiased" in warning for warning in enough["warnings"])
