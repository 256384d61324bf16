"""Sampling the rest of a clip whose first frames are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.diffusion.gaussian import noise_of
from vdmbench.diffusion import (
    EDM,
    Diffusion,
    FlowMatching,
    KnownFrames,
    Process,
    sample_ddim,
    sample_ddpm,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
)

SHAPE = (2, 5, 3)
CLIPS = noise_of(3, *SHAPE).tanh().float()
WAYS = [
    (sample_ddpm, lambda levels: Diffusion(parameterisation="v", steps=16, levels=levels)),
    (partial(sample_ddim, steps=8), lambda levels: Diffusion(parameterisation="v", steps=16, levels=levels)),
    (partial(sample_dpmpp_2m, steps=8), lambda levels: Diffusion(parameterisation="v", steps=16, levels=levels)),
    (partial(sample_euler, steps=8), lambda levels: FlowMatching(levels=levels)),
    (partial(sample_heun, steps=8), lambda levels: EDM(levels=levels)),
]


class Watching:
    """A denoiser whose every frame depends on all others, and that keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.seen.append((x, t))
        return torch.tanh(x + x.mean(dim=1, keepdim=True))


def sampled(sampler: Callable[..., Tensor], process: Process, denoiser: Watching, known: KnownFrames | None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return sampler(process, denoiser, lambda: torch.randn(SHAPE, generator=generator), known=known)


@pytest.mark.parametrize(("sampler", "process"), WAYS)
@pytest.mark.parametrize("levels", ["clip", "frame"])
def test_known_frames_are_returned_exactly_and_change_the_others(
    sampler: Callable[..., Tensor], process: Callable[[str], Process], levels: str
):
    known = KnownFrames.first(2, CLIPS)
    clips = sampled(sampler, process(levels), Watching(), known)
    assert torch.equal(clips[:, :2], CLIPS[:, :2])
    free = sampled(sampler, process(levels), Watching(), None)
    assert (clips[:, 2:] - free[:, 2:]).abs().max() > 1e-3


@pytest.mark.parametrize(("sampler", "process"), WAYS)
def test_with_levels_of_frames_known_ones_are_clean_at_every_evaluation(
    sampler: Callable[..., Tensor], process: Callable[[str], Process]
):
    denoiser, of_frames = Watching(), process("frame")
    sampled(sampler, of_frames, denoiser, KnownFrames.first(2, CLIPS))
    clean = of_frames.time(torch.full((2, 2), of_frames.clean))
    given = of_frames.parameterisation.network_input(CLIPS, of_frames.alpha_sigma(of_frames.clean)[1])
    for x, t in denoiser.seen:
        assert t.shape == SHAPE[:2]
        torch.testing.assert_close(t[:, :2], clean)
        torch.testing.assert_close(x[:, :2], given[:, :2])
    assert (denoiser.seen[0][1][:, 2:] != clean[0, 0]).all()


def test_with_levels_of_clips_known_ones_are_noised_like_the_rest():
    """The replacement method: at every level the known frames, with the noise that sampling started from."""
    denoiser, noise = Watching(), noise_of(4, *SHAPE).float()
    sample_euler(FlowMatching(), denoiser, lambda: noise, steps=4, known=KnownFrames.first(2, CLIPS))
    for x, t in denoiser.seen:
        assert t.shape == SHAPE[:1]
        level = t[0] / 1000
        torch.testing.assert_close(x[:, :2], (1 - level) * CLIPS[:, :2] + level * noise[:, :2])


def test_any_frames_may_be_known_and_the_rest_of_the_clips_plays_no_part():
    mask = torch.tensor([[True, False, False, False, True], [False, True, False, False, False]])
    holes = CLIPS.masked_fill(~mask[..., None], torch.nan)
    clips = sampled(partial(sample_euler, steps=3), FlowMatching(levels="frame"), Watching(), KnownFrames(mask, holes))
    assert torch.equal(clips[mask], CLIPS[mask])
    assert clips.isfinite().all()


@pytest.mark.parametrize("frames", [0, 5])
def test_at_least_one_frame_is_known_and_one_is_not(frames: int):
    with pytest.raises(ValueError, match=f"of 5 frames 1 to 4 can be known, got {frames}"):
        KnownFrames.first(frames, CLIPS)


def test_a_mask_is_of_truth_values():
    with pytest.raises(ValueError, match=r"for each of \(2, 5\) \(clips, frames\), got torch.bool of shape \(2, 4\)"):
        KnownFrames(torch.ones(2, 4, dtype=torch.bool), CLIPS)
