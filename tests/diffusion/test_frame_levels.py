"""A noise level for each frame (diffusion forcing), whatever the process."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.diffusion.gaussian import noise_of
from vdmbench.diffusion import EDM, Diffusion, FlowMatching, Process

PROCESSES = [Diffusion(parameterisation="v", steps=32, min_snr_gamma=5.0, levels="frame"), FlowMatching(levels="frame"),
             EDM(levels="frame")]  # fmt: skip


def within_frames(x: Tensor, t: Tensor) -> Tensor:
    """Each frame's prediction depends on its own pixels and level alone."""
    return torch.tanh(x + torch.sin(0.1 * t)[..., None, None])


@pytest.mark.parametrize("process", PROCESSES)
def test_each_frame_has_a_level_and_a_loss_of_its_own(process: Process):
    """A clip of frames at their own levels is trained as so many clips of one frame would be."""
    generator = torch.Generator().manual_seed(0)
    t = process.draw_levels(3, 6, generator)
    assert t.shape == (3, 6)
    assert len(t[0].unique()) > 1
    x0, noise = noise_of(1, 2, 3, 6, 4, 5).unbind()
    losses = process.loss(within_frames, x0, t, noise)
    assert losses.shape == (3, 6)

    alone = process.loss(within_frames, x0.reshape(18, 1, 4, 5), t.reshape(18, 1), noise.reshape(18, 1, 4, 5))
    torch.testing.assert_close(losses, alone.reshape(3, 6))


@pytest.mark.parametrize("process", PROCESSES)
def test_equal_levels_of_all_frames_are_the_level_of_a_clip(process: Process):
    t = process.draw_levels(3, 1, torch.Generator().manual_seed(0))
    x0, noise = noise_of(2, 2, 3, 6, 4, 5).unbind()
    of_frames = process.loss(lambda x, t: x, x0, t.expand(3, 6), noise)
    of_clips = process.loss(lambda x, t: x, x0, t[:, 0], noise)
    torch.testing.assert_close(of_frames.mean(dim=1), of_clips)


@pytest.mark.parametrize("process", PROCESSES)
def test_samplers_tell_a_level_for_each_frame(process: Process):
    told: list[Tensor] = []

    def kept(x: Tensor, t: Tensor) -> Tensor:
        told.append(t)
        return x

    process.denoise(kept, torch.zeros(2, 6, 3), process.visited(4)[1])
    assert told[0].shape == (2, 6)
    assert (told[0] == told[0][0, 0]).all()


def test_levels_that_fit_no_clip_are_refused():
    x0 = torch.zeros(2, 6, 3)
    with pytest.raises(ValueError, match=r"one for each of 2 clips, or for each of their frames, got shape \(2, 5\)"):
        FlowMatching(levels="frame").corrupt(x0, torch.zeros(2, 5), x0)
