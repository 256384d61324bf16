from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from vdmbench.metrics.archive import WeightsUnavailable
from vdmbench.metrics.durable import load_sealed
from vdmbench.metrics.lpips import LPIPS, cached_lpips, load_lpips
from vdmbench.metrics.prediction import last_known_repeated, prediction_scores
from vdmbench.metrics.video import InvalidVideo


@pytest.fixture(scope="module")
def lpips():
    try:
        return load_lpips()
    except WeightsUnavailable as reason:
        if os.environ.get("VDMBENCH_REQUIRE_WEIGHTS") == "1":
            raise
        pytest.skip(str(reason))


def test_lpips_gives_the_published_value(lpips):
    black, white = -torch.ones(2, 3, 64, 64), torch.ones(2, 3, 64, 64)
    assert lpips(black, white).tolist() == pytest.approx([0.81395, 0.81395], abs=2e-5)
    assert lpips(white, white).tolist() == [0, 0]


def test_lpips_is_symmetric_and_grows_with_damage(lpips, discs):
    image = discs(1, seed=0, side=64)[0, :1].float() / 127.5 - 1
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    little, much = image + 0.05 * noise, image + 0.3 * noise
    assert float(lpips(image, little)) == pytest.approx(float(lpips(little, image)), rel=1e-5)
    assert 0 < float(lpips(image, little)) < float(lpips(image, much))


@pytest.mark.parametrize("damage", ["torn", "a flipped bit", "another file"])
def test_damaged_lpips_weights_are_fetched_again(lpips, tmp_path, monkeypatch, caplog, damage):
    kept = cached_lpips()
    monkeypatch.setenv("VDMBENCH_CACHE", str(tmp_path))
    path = cached_lpips()
    path.parent.mkdir()
    content = bytearray(kept.read_bytes())
    content[-9] ^= 1
    path.write_bytes({"torn": b"torn", "a flipped bit": bytes(content), "another file": b""}[damage])

    def fetched(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        path.write_bytes(kept.read_bytes())
        return load_sealed(path)

    monkeypatch.setattr("vdmbench.metrics.lpips._fetched", fetched)
    again = load_lpips()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in lpips.state_dict().items())
    assert len(caplog.records) == 1
    assert str(path) in caplog.text


def test_scores_are_of_each_frame_of_each_clip():
    true = torch.full((3, 4, 3, 32, 32), 100, dtype=torch.uint8)
    predicted = true.clone()
    for frame, error in enumerate((0, 1, 10, 50)):
        predicted[:, frame] += error
    predicted[2] = true[2]
    scores = prediction_scores([(predicted[:1], true[:1]), (predicted[1:], true[1:])], LPIPS())
    by_error = [100, *(20 * math.log10(255 / error) for error in (1, 10, 50))]
    assert scores["psnr"].flatten().tolist() == pytest.approx([*by_error, *by_error, 100, 100, 100, 100], abs=1e-3)
    assert scores["ssim"][0, 0] == pytest.approx(1)
    assert scores["ssim"][0].tolist() == sorted(scores["ssim"][0].tolist(), reverse=True)
    assert scores["lpips"].tolist() == [[0] * 4] * 3  # without its weights the network sees nothing
    assert set(prediction_scores([(predicted, true)])) == {"psnr", "ssim"}


def test_the_last_known_frame_repeated_moves_no_more():
    clips = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(2, 6, 3, 8, 8)
    assert last_known_repeated(clips, 3)[:, :, 0, 0, 0].tolist() == [[0, 1, 2, 2, 2, 2]] * 2


def test_sides_must_match():
    clips = torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(InvalidVideo, match="the true ones"):
        prediction_scores([(clips, clips[:, :3])])
    with pytest.raises(InvalidVideo, match="differ in frames, 4 and 3"):
        prediction_scores([(clips, clips), (clips[:, :3], clips[:, :3])])
    with pytest.raises(InvalidVideo, match="no clips"):
        prediction_scores([])
