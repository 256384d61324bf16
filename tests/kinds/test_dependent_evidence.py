"""Kind: clips that hang together are counted as if each stood for itself.

Found: the bootstrap of distances, controls, prediction, recall and faithfulness drew windows where it said videos, so that
intervals were half as wide as they are. Mended: a clip carries its video and its first frame from the source to the draw
(vdmbench/metrics/extractor.py, Origins), whole videos are drawn, and names and warnings say how many videos and how many
windows without overlap a number rests on. Left: a draw of levels or noise, which is independent by design, and permutations of
frames within one clip.

Every place that draws, splits or permutes is listed with the unit that it draws.
"""

from __future__ import annotations

import math

import torch

from tests.kinds.syntax import called, places
from vdmbench.metrics.bootstrap import VideoDraws, interval_over_videos

SITES = {
    "diffusion/discrete.py:Diffusion._draw": "noise levels, independent by design",
    "engine/held_out_loss.py:levels_of": "which level of a part each held-out clip has, fixed; no interval rests on it",
    "metrics/bootstrap.py:VideoDraws.__call__": "videos, each with all of its windows",
    "metrics/bootstrap.py:bootstrap_interval": "videos",
    "metrics/bootstrap.py:interval_over_videos": "videos",
    "metrics/controls.py:shuffled": "frames of one clip",
    "metrics/controls.py:collapse": "the one clip that is repeated",
    "metrics/debiased.py:Sample.halves": "videos",
    "metrics/debiased.py:Sample.drawn": "videos",
    "metrics/memorisation.py:_p_value": "videos of both sides, whose labels are exchanged",
    "metrics/video_distance.py:VideoDistance.judge": "videos",
    "metrics/video_distance.py:VideoDistance._floor_and_controls": "videos",
}
DRAWS = ("multinomial", "randint", "permutation", "randperm", "VideoDraws", "bootstrap_interval", "resample")


def test_every_place_that_draws_is_known():
    assert set(places(lambda node: called(node) in DRAWS)) == set(SITES)


def test_a_draw_takes_videos_whole():
    videos = torch.tensor([3, 3, 5, 5, 5, 9])
    draw = VideoDraws(videos, seed=0)
    assert len(draw) == 3
    for _ in range(20):
        drawn = videos[draw()]
        assert all(int((drawn == video).sum()) % int((videos == video).sum()) == 0 for video in (3, 5, 9))


def test_windows_of_a_video_make_an_interval_no_narrower():
    """A mean over 12 videos of 8 windows that all say the same: as wide as over 12 windows, not over 96."""
    values = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    each = interval_over_videos(lambda rows: float(values[rows].mean()), torch.arange(12), seed=0)
    many = values.repeat_interleave(8)
    clustered = interval_over_videos(lambda rows: float(many[rows].mean()), torch.arange(12).repeat_interleave(8), seed=0)
    assert each is not None
    assert clustered is not None
    assert math.isclose(each[0], clustered[0], rel_tol=1e-9)
    assert math.isclose(each[1], clustered[1], rel_tol=1e-9)
