from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.extractor import ClipFeatures, Origins
from vdmbench.metrics.memorisation import memorisation, nearest

FEATURES = 24


def clips(features: torch.Tensor, videos: torch.Tensor | None = None) -> ClipFeatures:
    return ClipFeatures(features, torch.arange(len(features)) if videos is None else videos, 16, (8, 8))


def normal(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))


def alarms(made, runs: int = 40) -> float:
    """Share of runs in which ``made(training, run)`` is called suspicious, beside 64 held-out clips."""
    found = []
    for run in range(runs):
        training = normal(128, 3 * run)
        result = memorisation(clips(training), clips(made(training, run)), clips(normal(64, 3 * run + 1)))
        found.append(result["alarm"])
    return sum(found) / runs


def test_a_copy_is_nearer_than_its_neighbours_and_its_distance_is_known():
    training = clips(torch.tensor([[0.0], [1.0], [3.0], [3.5]]), torch.tensor([0, 1, 2, 2]))
    found = nearest(training, clips(torch.tensor([[1.0], [2.0]])))
    assert found.clip.tolist() == [1, 1]
    assert found.distance.tolist() == [0, 1]
    # Another window of the nearest clip's video is no neighbour: 2.0 lies 1 from video 1, and 2 and 1 from the others.
    assert found.ratio.tolist() == [0, pytest.approx(1 / 1.5)]


def test_honest_clips_raise_no_more_alarms_than_declared():
    assert alarms(lambda training, run: normal(48, 3 * run + 2), runs=200) <= 0.03  # 1 %; 7 of 200 would be a chance of 0.4 %


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("spread too small", lambda training, run: 0.7 * normal(48, 3 * run + 2)),
        ("spread too large", lambda training, run: 1.3 * normal(48, 3 * run + 2)),
        ("one clip again and again", lambda training, run: normal(1, 3 * run + 2).expand(48, -1)),
        ("far from all", lambda training, run: normal(48, 3 * run + 2) + 3),
    ],
)
def test_bad_clips_are_not_called_copies(name, made):
    assert alarms(made) <= 0.15, name


@pytest.mark.parametrize(("share", "least"), [(0.2, 0.8), (0.5, 1.0), (1.0, 1.0)])
def test_copies_are_noticed(share, least):
    def made(training, run):
        some, rest = round(share * 48), normal(48, 3 * run + 2)
        return torch.cat([training[:some] + 0.05 * normal(some, 7), rest[some:]])

    assert alarms(made, runs=20) >= least


def test_windows_of_one_video_are_no_further_evidence():
    training = clips(normal(64, 0))
    copied = training.features[:2].repeat_interleave(32, 0)
    of_two_videos = memorisation(training, clips(copied, torch.arange(2).repeat_interleave(32)), clips(normal(64, 1)))
    assert of_two_videos["clips"] == 2
    one_clip = memorisation(training, clips(training.features[:1].expand(64, -1)), clips(normal(64, 1)))
    assert (one_clip["p"], one_clip["alarm"]) == (1, False)  # coverage and the control collapse are there for that


def test_where_nothing_can_be_told_nothing_is_said():
    assert memorisation(clips(normal(2, 0)), clips(normal(8, 1)), clips(normal(8, 2))) is None
    same = torch.zeros(6, FEATURES)
    still = memorisation(clips(same), clips(same), clips(same))
    assert (still["ratio"], still["nearer"], still["alarm"]) == (1, 0, False)  # of a world of one picture


def test_a_distance_says_that_clips_are_copies_where_its_value_does_not(discs, tmp_path):
    metric = ste_fd(bootstrap=20, control_clips=2)
    real, held_out, training = discs(32, seed=0), discs(32, seed=1), discs(48, seed=3)
    reference = metric.reference(real, held_out, fingerprint="x")
    asked = {"fingerprint": "training", "origins": Origins.apart(48), "cache": tmp_path}
    among = metric.training(iter([training]), **asked)
    assert torch.equal(metric.training(iter(()), **asked).features, among.features)  # no clips: only the cache can answer
    honest, copied = metric(reference, discs(32, seed=2), training=among), metric(reference, training[:32], training=among)
    assert copied["value"] < 1.3 * copied["floor"]
    assert copied["memorisation"]["nearer"] == 32
    assert copied["memorisation"]["nearest"] == pytest.approx(0, abs=1e-3)
    assert copied["memorisation"]["held_out_clips"] == 64
    assert any(
        "32 of 32 generated clips lie nearer to a training clip than any of 64 held-out ones" in note
        for note in copied["warnings"]
    )
    assert not honest["memorisation"]["alarm"]
    assert metric(reference, training[:32])["memorisation"] is None
