from __future__ import annotations

import json
import re

import pytest
import torch

from vdmbench.metrics.catalogue import ste_fd
from vdmbench.metrics.controls import CONTROLS
from vdmbench.metrics.durable import load_sealed, save_tensors
from vdmbench.metrics.frechet import TooFewClips
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.reference import DamagedReference, Reference, tensor_fingerprint
from vdmbench.metrics.video import InvalidVideo
from vdmbench.metrics.video_distance import VideoDistance


@pytest.fixture(scope="module")
def metric():
    return ste_fd(bootstrap=40)


@pytest.fixture(scope="module")
def reference(metric, discs):
    # All drift along +x, so that reversed time is another distribution.
    real, held_out = discs(48, seed=0, drift=0.0), discs(48, seed=1, drift=0.0)
    return metric.reference(real, held_out, fingerprint=tensor_fingerprint(real, held_out))


def test_a_result_says_everything_beside_the_number(metric, reference, discs):
    result = metric(reference, discs(48, seed=2, drift=0.0))
    assert result["name"] == "STE-FD[v2,32px,n=48,f=16]"
    assert "FVD" not in result["name"]
    assert result["interval"][0] < result["value"] < result["interval"][1]
    assert result["value"] < 1.5 * result["floor"]
    assert result["floor_n"] == [48, 48]
    assert abs(result["kvd"]) < 1  # of standardised features: no mean is left for the kernel to raise to its power
    assert result["value_at_floor_n"] == result["value"]
    assert (result["n_real"], result["n_generated"]) == (48, 48)
    assert result["rank_deficient"] is True
    assert any("sampling bias" in note for note in result["warnings"])
    assert json.loads(json.dumps(result)) == result


def test_broken_time_is_seen(metric, reference, discs):
    result = metric(reference, discs(48, seed=2, drift=0.0))
    controls, clean = result["controls"], result["control_clean"]
    assert controls["frozen"] > 3 * clean
    assert controls["shuffled"] > 2 * clean
    assert controls["reversed"] > 1.2 * clean
    assert not {"frozen", "shuffled", "reversed"} & set(result["blind"])
    broken = metric(reference, discs(48, seed=2, drift=0.0)[:, torch.randperm(16, generator=torch.Generator().manual_seed(0))])
    assert broken["value"] > 2 * result["value"]
    assert broken["interval"][0] > result["interval"][1]


def test_each_fault_of_a_picture_and_of_a_set_is_seen(metric, reference, discs):
    result = metric(reference, discs(48, seed=2, drift=0.0))
    assert list(result["controls"]) == list(CONTROLS)
    assert not {"slow", "hue", "checker", "blur", "collapse"} & set(result["blind"])
    collapsed = metric(reference, discs(1, seed=2, drift=0.0).expand(48, -1, -1, -1, -1))
    assert collapsed["value"] > 2 * result["floor"]


def test_one_clip_repeated_is_seen_by_its_spread_and_not_by_the_clip_that_was_taken():
    """Its distance is the mean over which clip is repeated; the draw takes another one each time."""

    class Means(torch.nn.Module):
        name, num_features, minimum_frames, frames_at_once, scale_floor = "means", 3, 1, 64, None

        def forward(self, videos):
            return videos.float().mean((1, 3, 4))

    def clips(seed, spread):
        levels = 128 + spread * torch.randn(64, 1, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
        return levels.round().clamp(0, 255).to(torch.uint8).expand(-1, 5, -1, 4, 4)

    protocol = Protocol(name="means", extractor="means", weights=None, size=None, resize=None)
    own = VideoDistance(Means(), protocol, bootstrap=100)
    wide = own(own.reference(clips(0, 30), clips(1, 30), fingerprint="wide"), clips(2, 30))
    # A point against a Gaussian of variance v in 3 dimensions: 3 v for the spread, and 3 v for where the clip lies.
    assert wide["controls"]["collapse"] == pytest.approx(6 * 30**2, rel=0.2)
    assert "collapse" not in wide["blind"]
    still = own(own.reference(clips(0, 0), clips(1, 0), fingerprint="one picture"), clips(2, 0))
    assert still["controls"]["collapse"] == still["control_clean"] == 0
    assert "collapse" in still["blind"]  # all clips are one: repeating it breaks nothing


def test_clips_as_they_are_are_compared_at_one_resolution_only(metric, reference, discs):
    with pytest.raises(InvalidVideo, match="generated clips are 16x16 pixels and the reference 32x32 pixels"):
        metric(reference, discs(8, seed=2, side=16))
    small = metric(
        metric.reference(discs(8, seed=0, side=16), discs(8, seed=1, side=16), fingerprint="small"), discs(8, seed=2, side=16)
    )
    assert small["name"] == "STE-FD[v2,16px,n=8,f=16]"
    assert small["protocol"]["version"] == 2


def test_what_cannot_be_seen_is_named(metric, discs):
    # Drift in every direction looks the same backwards.
    real, held_out = discs(32, seed=0), discs(32, seed=1)
    result = metric(metric.reference(real, held_out, fingerprint="all directions"), discs(32, seed=2))
    assert "reversed" in result["blind"]
    assert any("blind to" in note and "reversed" in note for note in result["warnings"])


def test_unequal_counts_are_measured_and_said(metric, reference, discs):
    result = metric(reference, discs(20, seed=2, drift=0.0))
    assert result["name"] == "STE-FD[v2,32px,n=48/20,f=16]"
    assert result["floor_n"] == [48, 20]
    assert "48 real and 20 generated clips" in result["warnings"]
    more = metric(reference, discs(60, seed=2, drift=0.0))
    assert more["floor_n"] == [48, 48]
    assert any("the floor is of 48 against 48" in note for note in more["warnings"])


def test_batches_are_as_good_as_one_tensor(metric, reference, discs):
    clips = discs(20, seed=2, drift=0.0)
    assert metric(reference, iter(clips.split(7)))["value"] == pytest.approx(metric(reference, clips)["value"], rel=1e-6)


def test_a_reference_is_measured_once(tmp_path, metric, discs):
    real, held_out = discs(6, seed=0), discs(6, seed=1)
    built = metric.reference(real, held_out, fingerprint="a", cache=tmp_path)
    found = metric.reference(iter(()), iter(()), fingerprint="a", cache=tmp_path)  # no clips: only the cache can answer
    assert metric(found, real) == metric(built, real)
    with pytest.raises(InvalidVideo, match="no clips"):
        metric.reference(iter(()), iter(()), fingerprint="b", cache=tmp_path)
    with pytest.raises(InvalidVideo, match="no clips"):
        ste_fd(frames=8, window="first").reference(iter(()), iter(()), fingerprint="a", cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["torn", "a flipped bit", "of another key", "without a checksum"])
def test_a_damaged_cache_is_measured_anew(tmp_path, metric, discs, caplog, damage):
    real, held_out = discs(6, seed=0), discs(6, seed=1)
    built = metric.reference(real, held_out, fingerprint="a", cache=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    if damage == "torn":
        path.write_bytes(content[:5000])
    elif damage == "a flipped bit":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    elif damage == "of another key":
        metric.reference(discs(6, seed=2), held_out, fingerprint="b", cache=tmp_path)
        (other,) = set(tmp_path.iterdir()) - {path}
        other.replace(path)
    else:
        tensors, said = load_sealed(path)
        save_tensors(tensors, path, said)
    with pytest.raises(DamagedReference, match=re.escape(str(path))):
        Reference.load(path, built.key)
    again = metric.reference(real, held_out, fingerprint="a", cache=tmp_path)
    assert metric(again, real) == metric(built, real)
    assert len(caplog.records) == 1
    assert f"{path}: " in caplog.text
    assert "measured anew" in caplog.text
    assert load_sealed(path)[1]["key"] == built.key
    metric.reference(iter(()), iter(()), fingerprint="a", cache=tmp_path)  # no clips: only the cache can answer
    assert len(caplog.records) == 1


def test_windows_cover_the_whole_length_and_count(discs):
    metric = ste_fd(frames=8, window="all", bootstrap=20)
    clips = discs(12, seed=0, frames=26)
    reference = metric.reference(clips, discs(12, seed=1, frames=26), fingerprint="long")
    assert len(reference.real) == 36
    assert reference.real.videos.tolist() == [i for i in range(12) for _ in range(3)]
    result = metric(reference, clips)
    assert result["name"] == "STE-FD[v2,32px,n=36,f=8]"
    assert result["videos_generated"] == 12
    assert result["value"] == pytest.approx(0, abs=1e-6)
    direct = ste_fd(bootstrap=20)
    parts = torch.cat([clips[:, i : i + 8] for i in (0, 8, 16)])
    assert torch.allclose(direct.extractor(parts).sum(0), reference.real.features.sum(0), atol=1e-2)


def test_stride_takes_every_other_frame(discs):
    metric = ste_fd(frames=8, stride=2, window="first", bootstrap=20)
    clips = discs(4, seed=0, frames=20)
    reference = metric.reference(clips, clips, fingerprint="strided")
    assert torch.allclose(reference.real.features, metric.extractor(clips[:, :16:2]), atol=1e-5)


def test_bad_clips_are_refused_in_one_line(metric, reference, discs):
    with pytest.raises(TooFewClips, match="at least 2 generated clips, got 1"):
        metric(reference, discs(1, seed=0))
    with pytest.raises(InvalidVideo, match="differ in shape"):
        metric(reference, [discs(2, seed=0), discs(2, seed=0, side=24)])
    with pytest.raises(InvalidVideo, match="must be uint8"):
        metric(reference, discs(2, seed=0).float())
    with pytest.raises(InvalidVideo, match="no clips"):
        metric(reference, [])
    with pytest.raises(ValueError, match="8 frames and the reference 16"):
        metric(reference, discs(4, seed=0, frames=8))
    with pytest.raises(InvalidVideo, match="declare 'first' or 'all'"):
        ste_fd(frames=8).reference(discs(4, seed=0), discs(4, seed=0), fingerprint="long")
    with pytest.raises(InvalidVideo, match="needs 24"):
        ste_fd(frames=24).reference(discs(4, seed=0), discs(4, seed=0), fingerprint="short")
