from __future__ import annotations

import torch

from vdmbench.metrics.controls import CONTROLS


def damaged(name: str, clips: torch.Tensor) -> torch.Tensor:
    return CONTROLS[name](clips, torch.Generator().manual_seed(0))


def test_each_control_does_what_its_name_says(discs):
    clips = discs(4, seed=0)
    assert torch.equal(damaged("reversed", clips), clips.flip(1))
    assert torch.equal(damaged("frozen", clips), clips[:, :1].repeat(1, 16, 1, 1, 1))
    shuffled = damaged("shuffled", clips)
    for clip, mixed in zip(clips, shuffled, strict=True):
        assert not torch.equal(clip, mixed)
        assert {frame.numpy().tobytes() for frame in clip} == {frame.numpy().tobytes() for frame in mixed}
    grain = damaged("noise", torch.full_like(clips, 128)).float() - 128
    assert 4.8 < float(grain.std()) < 5.4
    assert abs(float(grain.mean())) < 0.1


def test_controls_leave_their_input_alone_and_stay_video(discs):
    clips = discs(2, seed=0)
    before = clips.clone()
    for name in CONTROLS:
        result = damaged(name, clips)
        assert result.dtype == torch.uint8
        assert result.shape == clips.shape
    assert torch.equal(clips, before)
