from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.temporal import temporal_profile
from vdmbench.metrics.video import InvalidVideo


def test_a_still_video_does_not_flicker_and_does_not_move(discs):
    still = discs(3, seed=0)[:, :1].repeat(1, 16, 1, 1, 1)
    profile = temporal_profile(still)
    assert profile.flicker == profile.colour_flicker == profile.dynamic_degree == 0
    assert profile.similarity == pytest.approx({1: 1, 2: 1, 4: 1, 8: 1})


def test_known_flicker():
    # Black and white in turn: every inner frame is a whole range away from both its neighbours.
    clip = 255 * (torch.arange(8) % 2).to(torch.uint8)[None, :, None, None, None].expand(1, 8, 3, 4, 4)
    profile = temporal_profile(clip)
    assert profile.flicker == pytest.approx(1)
    assert profile.colour_flicker == pytest.approx(0, abs=1e-9)
    assert profile.dynamic_degree == 1
    ramp = torch.arange(0, 160, 20, dtype=torch.uint8)[None, :, None, None, None].expand(1, 8, 3, 4, 4)
    assert temporal_profile(ramp).flicker == pytest.approx(0, abs=1e-9)  # steady change is no flicker


def test_colour_flicker_shows_where_luma_does_not():
    # 40 levels more of red, and so many fewer of blue that luma stays.
    clip = torch.full((1, 8, 3, 4, 4), 128.0)
    clip[:, 1::2, 0] += 40
    clip[:, 1::2, 2] -= 40 * 0.299 / 0.114
    profile = temporal_profile(clip.round().to(torch.uint8))
    assert profile.flicker < 0.001
    expected = (40 * 0.5 / (1 - 0.299) + 105 * 0.5 / (1 - 0.114)) / 2 / 255
    assert profile.colour_flicker == pytest.approx(expected, rel=0.01)


def test_motion_forgets_with_the_gap_and_batches_add_up(discs):
    clips = discs(6, seed=0)
    profile = temporal_profile(clips)
    similarity = profile.similarity
    assert similarity[1] > similarity[2] > similarity[4] > similarity[8]
    assert 0 < profile.dynamic_degree < 1
    assert temporal_profile(iter(clips.split(4))).flicker == pytest.approx(profile.flicker)
    shuffled = clips[:, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    assert temporal_profile(shuffled).flicker > 1.5 * profile.flicker


def test_two_frames_are_refused():
    with pytest.raises(InvalidVideo, match="at least 3 frames"):
        temporal_profile(torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(InvalidVideo, match="no clips"):
        temporal_profile(iter(()))
