from __future__ import annotations

import pickle

import pytest
import torch

from vdmbench.metrics.frechet import Gaussian, Moments, TooFewClips, frechet_distance, standard_scale
from vdmbench.metrics.frechet_distance import FrechetDistance
from vdmbench.metrics.spatio_temporal_energy import SpatioTemporalEnergy
from vdmbench.metrics.video import InvalidVideo


@pytest.fixture(scope="module")
def extractor():
    return SpatioTemporalEnergy()


def filled(extractor, real: torch.Tensor, generated: torch.Tensor, batch: int = 4) -> FrechetDistance:
    metric = FrechetDistance(extractor)
    for part in real.split(batch):
        metric.update(part, real=True)
    for part in generated.split(batch):
        metric.update(part, real=False)
    return metric


def test_is_the_distance_of_the_features(extractor, discs):
    real, generated = discs(10, seed=0), discs(7, seed=1)
    x, y = extractor(real), extractor(generated)
    scale = standard_scale(Moments.of(x), extractor.scale_floor)
    expected = frechet_distance(Gaussian.fit(x / scale), Gaussian.fit(y / scale))
    value = filled(extractor, real, generated).compute()
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_the_batch_size_does_not_matter(extractor, discs):
    real, generated = discs(8, seed=0), discs(8, seed=1)
    values = [float(filled(extractor, real, generated, batch).compute()) for batch in (1, 3, 8)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)


def test_merged_parts_are_the_whole(extractor, discs):
    real, generated = discs(12, seed=0), discs(12, seed=1)
    first, second = filled(extractor, real[:5], generated[:8]), filled(extractor, real[5:], generated[8:])
    stale = first.compute()
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(float(filled(extractor, real, generated).compute()), rel=1e-9)
    assert first.compute() != stale


def test_real_clips_survive_a_reset_that_says_so(extractor, discs):
    real, generated = discs(6, seed=0), discs(6, seed=1)
    metric = filled(extractor, real, generated)
    value = metric.compute()
    metric.reset(reset_real_features=False)
    assert int(metric.real_count) == 6
    assert int(metric.generated_count) == 0
    metric.update(generated, real=False)
    assert float(metric.compute()) == pytest.approx(float(value), rel=1e-9)
    metric.reset()
    assert int(metric.real_count) == 0


def test_survives_a_pickle(extractor, discs):
    metric = filled(extractor, discs(4, seed=0), discs(4, seed=1))
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()


def test_bad_input_is_refused(extractor, discs):
    metric = FrechetDistance(extractor)
    with pytest.raises(InvalidVideo, match="uint8"):
        metric.update(torch.rand(2, 8, 3, 16, 16), real=True)
    with pytest.raises(InvalidVideo, match="at least 5 frames"):
        metric.update(torch.zeros(2, 3, 3, 16, 16, dtype=torch.uint8), real=True)
    with pytest.raises(ValueError, match="stay float64"):
        metric.set_dtype(torch.float16)
    with pytest.raises(ValueError, match="has no 'num_features'"):
        FrechetDistance(torch.nn.Identity())
    metric.update(discs(1, seed=0), real=True)
    metric.update(discs(2, seed=0), real=False)
    with pytest.raises(TooFewClips, match="got 1"):
        metric.compute()
