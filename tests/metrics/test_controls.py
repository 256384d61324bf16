from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.controls import CONTROLS, EACH_CLIP, HUE
from vdmbench.metrics.luma import luma_and_chroma


def damaged(name: str, clips: torch.Tensor) -> torch.Tensor:
    return CONTROLS[name](clips, torch.Generator().manual_seed(0))


def test_each_control_of_time_does_what_its_name_says(discs):
    clips = discs(4, seed=0)
    assert torch.equal(damaged("reversed", clips), clips.flip(1))
    assert torch.equal(damaged("frozen", clips), clips[:, :1].repeat(1, 16, 1, 1, 1))
    held = damaged("slow", clips)
    assert torch.equal(held[:, ::2], clips[:, ::2])
    assert torch.equal(held[:, 1::2], clips[:, ::2])
    assert torch.equal(damaged("slow", clips[:, :5])[:, 4], clips[:, 4])
    shuffled = damaged("shuffled", clips)
    for clip, mixed in zip(clips, shuffled, strict=True):
        assert not torch.equal(clip, mixed)
        assert {frame.numpy().tobytes() for frame in clip} == {frame.numpy().tobytes() for frame in mixed}


def test_noise_is_of_two_per_cent(discs):
    clips = discs(4, seed=0)
    grain = damaged("noise", torch.full_like(clips, 128)).float() - 128
    assert 4.8 < float(grain.std()) < 5.4
    assert abs(float(grain.mean())) < 0.1


def test_hue_moves_colour_of_whole_frames_and_leaves_luma():
    grey = torch.full((16, 64, 3, 4, 4), 128, dtype=torch.uint8)
    cast = damaged("hue", grey).float() - 128
    assert float(cast.var((3, 4)).max()) == 0  # a frame has one cast
    of_frame = cast[..., 0, 0]
    assert of_frame[:, :, [0, 2]].std() == pytest.approx(255 * HUE, rel=0.1)
    assert abs(float(of_frame[:, 1:, 0].flatten().dot(of_frame[:, :-1, 0].flatten()))) < 0.1 * float(
        of_frame[..., 0].square().sum()
    )
    assert float(luma_and_chroma(cast)[:, :, 0].abs().max()) < 1  # rounding


def test_checker_is_still_and_of_single_pixels():
    grey = torch.full((1, 4, 3, 6, 7), 128, dtype=torch.uint8)
    board = damaged("checker", grey).float() - 128
    assert torch.equal(board, board[:, :1].expand_as(board))
    assert set(board.flatten().tolist()) == {-5, 5}
    assert torch.equal(board[..., 1:, :], -board[..., :-1, :])
    assert torch.equal(board[..., 1:], -board[..., :-1])


def test_blur_spreads_a_point_by_one_pixel():
    point = torch.zeros(1, 2, 3, 15, 15, dtype=torch.uint8)
    point[..., 7, 7] = 255
    spread = damaged("blur", point)[0, 0, 0].double()
    offsets = torch.arange(15).double() - 7
    weights = spread.sum(0) / spread.sum()
    assert float((weights * offsets).sum()) == pytest.approx(0, abs=1e-9)
    assert float((weights * offsets**2).sum()) == pytest.approx(1, rel=0.1)
    flat = torch.full((1, 2, 3, 9, 9), 77, dtype=torch.uint8)
    assert torch.equal(damaged("blur", flat), flat)  # edges are no darker


def test_collapse_is_one_of_the_clips_again_and_again(discs):
    clips = discs(6, seed=0)
    same = damaged("collapse", clips)
    assert torch.equal(same, same[:1].expand_as(same))
    assert any(torch.equal(same[0], clip) for clip in clips)
    chosen = {CONTROLS["collapse"](clips, torch.Generator().manual_seed(seed))[0].numpy().tobytes() for seed in range(20)}
    assert len(chosen) > 3


def test_controls_leave_their_input_alone_and_stay_video(discs):
    clips = discs(2, seed=0)
    before = clips.clone()
    for name in CONTROLS:
        result = damaged(name, clips)
        assert result.dtype == torch.uint8
        assert result.shape == clips.shape
    assert torch.equal(clips, before)


@pytest.mark.parametrize("name", sorted(EACH_CLIP))
def test_a_clip_is_broken_whatever_stands_beside_it(discs, name):
    """Features of broken clips are kept clip by clip: a control of the set, such as collapse, does not belong there."""
    clips = discs(3, seed=0)
    alone = damaged(name, clips[:1])
    if name not in ("shuffled", "noise", "hue"):  # those draw, and another number of clips is another draw
        assert torch.equal(damaged(name, clips)[:1], alone)
    assert not torch.equal(alone, clips[:1])
