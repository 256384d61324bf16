from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.i3d.features import I3DFeatures
from vdmbench.metrics.video import InvalidVideo


@pytest.fixture(scope="module")
def features(weights):
    return I3DFeatures(weights=weights)


def test_feeds_the_declared_range_at_224_pixels(features, network):
    black, white = (torch.full((1, 9, 3, 20, 30), level, dtype=torch.uint8) for level in (0, 255))
    logits = features(torch.cat([black, white]))
    assert logits.shape == (2, 400)
    assert float((logits[0] - logits[1]).double().square().sum()) == pytest.approx(492.629, abs=5e-3)


def test_features_do_not_depend_on_the_batch(features, discs):
    clips = discs(2, seed=0, frames=9)
    assert torch.allclose(features(clips), torch.cat([features(clip[None]) for clip in clips]), atol=2e-4)


def test_half_precision_is_close(features, discs, monkeypatch):
    clips = discs(1, seed=0, frames=9)
    exact = features(clips)
    monkeypatch.setattr(features, "precision", "bf16")
    half = features(clips)
    assert half.dtype == torch.float32
    assert 0 < float((exact - half).norm() / exact.norm()) < 0.05


def test_eight_frames_are_refused(features):
    with pytest.raises(InvalidVideo, match="at least 9 frames, got 8"):
        features(torch.zeros(1, 8, 3, 32, 32, dtype=torch.uint8))
