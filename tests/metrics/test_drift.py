from __future__ import annotations

import torch

from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.drift import position_in_video
from vdmbench.metrics.extractor import ClipFeatures


def test_positions_count_within_each_video():
    clips = ClipFeatures(torch.zeros(7, 1), torch.tensor([0, 0, 0, 1, 1, 4, 4]), 8, (32, 32))
    assert position_in_video(clips).tolist() == [0, 1, 2, 0, 1, 0, 1]


def test_a_fault_late_in_a_long_video_shows_where_it_is(discs):
    metric = ste_fd(frames=8, window="all", bootstrap=2)
    reference = metric.reference(discs(24, seed=0, frames=32), discs(24, seed=1, frames=32), fingerprint="long")
    clips = discs(24, seed=2, frames=32)
    sound = metric(reference, clips)["drift"]
    assert [point["frame"] for point in sound] == [0, 8, 16, 24]
    assert all(point["value"] < 1.6 * point["floor"] and point["n"] == 24 for point in sound)
    broken = clips.clone()
    broken[:, 24:] = broken[:, 24:25]
    curve = metric(reference, broken)["drift"]
    assert curve[3]["value"] > 2 * curve[3]["floor"]
    assert [point["value"] for point in curve[:3]] == [point["value"] for point in sound[:3]]
