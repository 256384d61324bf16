from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch

from vdmbench.data.source import DataError
from vdmbench.folders import compare_folders, side
from vdmbench.folders.feature_store import FeatureStore
from vdmbench.metrics.controls import CONTROLS
from vdmbench.metrics.frechet import TooFewClips
from vdmbench.metrics.user_extractor import InvalidExtractor
from vdmbench.metrics.video import InvalidVideo

EXTRACTOR = """
import torch

class Means(torch.nn.Module):
    name = "means"
    num_features = 3
    minimum_frames = 1
    frames_at_once = 64
    scale_floor = None

    def forward(self, videos):
        return videos.float().mean((1, 3, 4))
"""


def save_clips(folder, clips: torch.Tensor):
    folder.mkdir()
    for index, clip in enumerate(clips):
        np.save(folder / f"{index}.npy", clip.permute(0, 2, 3, 1).numpy())
    return folder


@pytest.fixture
def means(tmp_path):
    """An extractor of the user's own, fast enough to run folders through."""
    (tmp_path / "means.py").write_text(EXTRACTOR)
    return {"extractor": f"{tmp_path / 'means.py'}:Means", "allow_code": True, "bootstrap": 5, "control_clips": 4}


def test_two_folders_of_real_video_make_an_fvd(tmp_path, weights, discs):
    real = save_clips(tmp_path / "real", discs(6, seed=0, frames=9))
    fake = save_clips(tmp_path / "fake", discs(4, seed=1, frames=9)[:, :1].repeat(1, 9, 1, 1, 1))
    seen = []
    options = {"weights": weights, "bootstrap": 4, "control_clips": 2, "cache": tmp_path / "cache"}
    result = compare_folders(real, fake, **options, progress=lambda *step: seen.append(step))
    fvd, companion = result["metrics"]
    assert fvd["name"] == "FVD[i3d,n=6/4,f=9]"
    assert companion["name"] == "STE-FD[v2,32px,n=6/4,f=9]"
    assert min(fvd["value"], fvd["floor"], fvd["value_at_floor_n"]) > 0
    assert fvd["floor_n"] == [3, 3]
    assert fvd["rank_deficient"]
    assert set(fvd["controls"]) == set(CONTROLS)
    profiles = {side: result[side].pop("temporal_profile") for side in ("real", "generated")}
    assert result["real"] == {"path": str(real), "videos": 6, "found": 6}
    assert profiles["real"]["dynamic_degree"] > 0.01
    assert profiles["generated"]["dynamic_degree"] == profiles["generated"]["flicker"] == 0  # its frames stand still
    assert list(profiles["generated"]["similarity"]) == ["1", "2", "4", "8"]
    assert ("real", 6, 6) in seen
    assert ("generated", 4, 4) in seen
    assert json.loads(json.dumps(result)) == result
    seen.clear()
    again = compare_folders(real, fake, **options, progress=lambda *step: seen.append(step))
    assert again["metrics"] == result["metrics"]
    assert {side: again[side]["temporal_profile"] for side in profiles} == profiles
    assert not seen  # nothing was measured twice


def test_at_two_resolutions_only_what_resizes_is_measured(tmp_path, means, discs):
    real = save_clips(tmp_path / "real", discs(6, seed=0))
    fake = save_clips(tmp_path / "fake", discs(6, seed=1, side=16))
    (only,) = compare_folders(real, fake, **means, cache=None)["metrics"]
    assert only["name"] == "MEANS-FD[n=6,f=16]"
    assert "clips are 32x32 pixels real and 16x16 pixels generated: each is resized on its own" in only["warnings"]
    assert any("no STE-FD stands beside it" in note for note in only["warnings"])


def test_an_interrupted_measurement_goes_on(tmp_path, means, discs, monkeypatch):
    monkeypatch.setattr(side, "PART", 2)
    real = save_clips(tmp_path / "real", discs(8, seed=0))
    fake = save_clips(tmp_path / "fake", discs(5, seed=1))
    whole = compare_folders(real, fake, **means, cache=None)

    class Stop(Exception):
        pass

    def stop(side: str, done: int, total: int) -> None:
        if (side, done) == ("real", 4):
            raise Stop

    with pytest.raises(Stop):
        compare_folders(real, fake, **means, cache=tmp_path / "cache", progress=stop)
    steps = []
    resumed = compare_folders(real, fake, **means, cache=tmp_path / "cache", progress=lambda *step: steps.append(step))
    assert steps[0] == ("real", 6, 8)
    assert resumed == whole


@pytest.mark.parametrize("damage", ["torn", "a flipped bit", "parts exchanged"])
def test_a_damaged_part_is_measured_again(tmp_path, means, discs, monkeypatch, caplog, damage):
    monkeypatch.setattr(side, "PART", 2)
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(4, seed=1))
    result = compare_folders(real, fake, **means, cache=tmp_path / "cache")
    damaged = list((tmp_path / "cache").glob("*/00001.safetensors"))
    for part in damaged:
        content = part.read_bytes()
        if damage == "torn":
            part.write_bytes(content[:20])
        elif damage == "a flipped bit":
            part.write_bytes(content[:-5] + bytes([content[-5] ^ 8]) + content[-4:])
        else:
            part.write_bytes(part.with_name("00000.safetensors").read_bytes())
    assert compare_folders(real, fake, **means, cache=tmp_path / "cache") == result
    said = [str(part) in caplog.text for part in damaged]
    assert said == [damage != "parts exchanged"] * len(damaged)


def test_a_limit_is_a_seeded_choice(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(9, seed=0)), save_clips(tmp_path / "fake", discs(9, seed=1))
    first, same, other = (compare_folders(real, fake, **means, limit=6, seed=seed, cache=None) for seed in (0, 0, 1))
    assert (first["real"]["videos"], first["real"]["found"], first["real"]["temporal_profile"]["clips"]) == (6, 9, 6)
    assert first == same
    assert first["metrics"][0]["value"] != other["metrics"][0]["value"]


def test_a_users_extractor_is_never_called_fvd(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    assert compare_folders(real, fake, **means, cache=None)["metrics"][0]["name"] == "MEANS-FD[n=6,f=16]"
    with pytest.raises(InvalidExtractor, match="allow it with --allow-code"):
        compare_folders(real, fake, **(means | {"allow_code": False}))
    (tmp_path / "means.py").write_text(EXTRACTOR.replace('"means"', '"FVD"'))
    with pytest.raises(InvalidExtractor, match="taken by a published metric"):
        compare_folders(real, fake, **means)
    with pytest.raises(InvalidExtractor, match="no such file"):
        compare_folders(real, fake, **(means | {"extractor": "absent.pt"}))
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(InvalidExtractor, match="is no TorchScript file"):
        compare_folders(real, fake, **(means | {"extractor": str(tmp_path / "bad.pt")}))


def test_a_torchscript_extractor_runs(tmp_path, means, discs):
    class Pool(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3, 4))

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Pool(), torch.rand(2, 3, 4, 8, 8)).save(tmp_path / "pool.pt")
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    result = compare_folders(real, fake, **(means | {"extractor": str(tmp_path / "pool.pt")}), cache=None)
    assert result["metrics"][0]["name"] == "POOL-FD[n=6,f=16]"


def test_bad_folders_are_refused_in_one_line(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(1, seed=1))
    with pytest.raises(TooFewClips, match="at least 2 generated clips, got 1"):
        compare_folders(real, fake, **means, cache=None)
    with pytest.raises(TooFewClips, match="at least 4 real videos, got 1"):
        compare_folders(fake, real, **means, cache=None)
    np.save(fake / "1.npy", np.zeros((16, 24, 24, 3), np.uint8))
    with pytest.raises(InvalidVideo, match=r"1\.npy: is .* where the first video is"):
        compare_folders(real, fake, **means, cache=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no video"):
        compare_folders(real, tmp_path / "empty", **means, cache=None)


def test_sides_of_other_sizes_are_measured_and_said(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1, side=24))
    result = compare_folders(real, fake, **means, cache=None)
    assert all(any("resized on its own" in note for note in metric["warnings"]) for metric in result["metrics"])


def test_an_empty_store_has_no_videos(tmp_path):
    assert FeatureStore(tmp_path / "new").clips == 0
    assert FeatureStore(None).clips == 0


def test_features_are_known_by_content_and_not_by_name_size_or_time(tmp_path, means, discs):
    """As of every unpacked archive: other content, the same names, sizes and times."""
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=0))
    cached = means | {"cache": tmp_path / "cache"}
    same = compare_folders(real, fake, **cached)["metrics"][0]["value"]
    for path in (*real.iterdir(), *fake.iterdir()):
        os.utime(path, (1.7e9, 1.7e9))
    for path in fake.iterdir():
        clip = np.load(path) // 2
        np.save(path, clip)
        os.utime(path, (1.7e9, 1.7e9))
    assert compare_folders(real, fake, **cached)["metrics"][0]["value"] > same + 1


def test_copies_among_real_videos_are_one_video_and_are_said(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(8, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    for index in range(4):
        (real / f"copy{index}.npy").write_bytes((real / f"{index}.npy").read_bytes())
    (fake / "stolen.npy").write_bytes((real / "7.npy").read_bytes())
    (only, *_) = compare_folders(real, fake, **means, cache=None)["metrics"]
    assert (only["n_real"], only["videos_real"]) == (12, 8)
    assert "4 real videos are copies of others" in only["warnings"]
    assert "1 generated videos are copies of real ones" in only["warnings"]


def test_what_is_left_out_is_said(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    (fake / "._0.npy").write_bytes(b"AppleDouble")
    (fake / "log.txt").touch()
    notes = compare_folders(real, fake, **means, cache=None)["notes"]
    assert notes == [f"{fake}: left out 1 hidden (._0.npy)", f"{fake}: left out 1 that are no video (1 .txt)"]


def test_many_videos_in_one_archive_are_read_and_read_anew_when_it_is_replaced(tmp_path, means, discs):
    folders = [tmp_path / "real", tmp_path / "fake"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        np.savez(folder / "all.npz", videos=discs(6, seed=seed).permute(0, 1, 3, 4, 2).numpy(), labels=np.arange(6))
    before = compare_folders(*folders, **means, cache=None)
    assert before["real"]["found"] == 6
    np.savez(folders[1] / "all.npz", videos=discs(6, seed=9).permute(0, 1, 3, 4, 2).numpy(), labels=np.arange(6))
    assert compare_folders(*folders, **means, cache=None)["metrics"][0]["value"] != before["metrics"][0]["value"]


def test_a_helper_of_an_extractor_is_part_of_the_distance(tmp_path, means, discs):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    (tmp_path / "scaled_by.py").write_text("SCALE = 1\n")
    scaled = EXTRACTOR.replace("mean((1, 3, 4))", "mean((1, 3, 4)) * SCALE")
    (tmp_path / "means.py").write_text(f"from scaled_by import SCALE\n{scaled}")
    cached = means | {"cache": tmp_path / "cache"}
    before = compare_folders(real, fake, **cached)["metrics"][0]
    (tmp_path / "scaled_by.py").write_text("SCALE = 2\n")
    after = compare_folders(real, fake, **cached)["metrics"][0]
    assert after["value"] == pytest.approx(4 * before["value"])
    assert after["protocol"] != before["protocol"]


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, means, discs, cut):
    real, fake = save_clips(tmp_path / "real", discs(6, seed=0)), save_clips(tmp_path / "fake", discs(6, seed=1))
    np.savez_compressed(fake / "bad.npz", video=np.load(fake / "0.npy"))
    whole = (fake / "bad.npz").read_bytes()
    (fake / "bad.npz").write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(DataError, match=r"bad\.npz cannot be read"):
        compare_folders(real, fake, **means, cache=None)
