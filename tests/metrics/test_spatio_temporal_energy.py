from __future__ import annotations

import pytest
import torch

from vdmbench.metrics.controls import CONTROLS
from vdmbench.metrics.spatio_temporal_energy import ORIENTATIONS, SPEEDS, SpatioTemporalEnergy, gabor_filters
from vdmbench.metrics.video import InvalidVideo


@pytest.fixture(scope="module")
def extractor():
    return SpatioTemporalEnergy()


def test_filters_are_quadrature_pairs_without_mean():
    filters = gabor_filters().flatten(1)
    assert filters.shape == (2 * ORIENTATIONS * len(SPEEDS), 5 * 7 * 7)
    even, odd = filters.chunk(2)
    assert torch.allclose(filters.norm(dim=1), torch.ones(len(filters), dtype=torch.float64))
    assert filters.sum(1).abs().max() < 1e-12
    assert (even * odd).sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("shape", [(5, 32, 32), (16, 64, 48), (9, 20, 100), (8, 16, 16), (5, 256, 256), (6, 9, 7), (5, 1, 1)])
def test_takes_any_size_and_any_length_from_five(extractor, shape):
    frames, height, width = shape
    clips = torch.randint(0, 256, (2, frames, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = extractor(clips)
    assert features.shape == (2, extractor.num_features)
    assert extractor.num_features == 84
    assert torch.isfinite(features).all()


def test_features_do_not_depend_on_the_batch(extractor, discs):
    clips = discs(6, seed=0)
    alone = torch.cat([extractor(clip[None]) for clip in clips])
    assert torch.allclose(extractor(clips), alone, atol=1e-5)
    assert torch.equal(extractor(clips), extractor(clips))


def test_double_precision_agrees_with_single(discs):
    clips = discs(3, seed=0)
    double = SpatioTemporalEnergy().double()(clips)
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), SpatioTemporalEnergy()(clips), atol=1e-3)


def test_the_filter_of_a_drift_answers_most_to_it():
    # A grating of the filters' own frequency that drifts along x by one pixel a frame: orientation 0, speed 1.
    t, _, x = torch.meshgrid(torch.arange(16), torch.arange(32), torch.arange(32), indexing="ij")
    grating = 0.5 + 0.4 * torch.cos(2 * torch.pi * 0.2 * (x - t))
    clip = (255 * grating).round().to(torch.uint8)[None, :, None].expand(1, 16, 3, 32, 32)
    energies = SpatioTemporalEnergy()(clip)[0, : ORIENTATIONS * len(SPEEDS)].view(ORIENTATIONS, len(SPEEDS))
    assert divmod(int(energies.argmax()), len(SPEEDS)) == (0, SPEEDS.index(1.0))
    assert divmod(int(SpatioTemporalEnergy()(clip.flip(1))[0, : ORIENTATIONS * len(SPEEDS)].argmax()), len(SPEEDS)) == (
        0,
        SPEEDS.index(-1.0),
    )


def test_the_finest_octave_is_the_clips_own(extractor):
    """One pixel of 64 is as visible as one of 16: frames are not brought to one size first."""
    for side in (16, 64, 128):
        plain = torch.full((2, 8, 3, side, side), 100, dtype=torch.uint8)
        board = (torch.arange(side)[:, None] + torch.arange(side)) % 2
        fine = plain + (10 * board).to(torch.uint8)
        still, moved = extractor(fine), extractor(fine.where(torch.arange(8)[:, None, None, None] % 2 == 0, plain))
        assert (still - extractor(plain)).abs().max() > 1
        assert (moved - still).abs().max() > 1


def test_colour_that_flickers_under_a_steady_luma_moves_features(extractor, discs):
    clips = discs(4, seed=0)
    hue = CONTROLS["hue"](clips, torch.Generator().manual_seed(1))
    assert (extractor(hue) - extractor(clips)).abs().amax(1).min() > 1
    grey = clips.float().mean(2, keepdim=True).round().to(torch.uint8).expand_as(clips)
    assert (extractor(grey) - extractor(clips)).abs().amax(1).min() > 1


def test_held_frames_follow_each_other_unevenly(extractor, discs):
    clips = discs(4, seed=0)
    held = CONTROLS["slow"](clips, torch.Generator())
    assert (extractor(held) - extractor(clips)).abs().amax(1).min() > 1


def test_an_approach_reversed_is_another_motion(extractor):
    """Rings that move outwards have no direction in the mean over a frame, and one in each quarter."""
    rows, columns = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    distance = (rows**2 + columns**2).sqrt()
    rings = 0.5 + 0.4 * torch.cos(2 * torch.pi * 0.2 * (distance - torch.arange(16)[:, None, None]))
    clip = (255 * rings).round().to(torch.uint8)[None, :, None].expand(1, 16, 3, 32, 32)
    forwards, backwards = extractor(clip), extractor(clip.flip(1))
    assert (forwards - backwards).abs().max() > 1


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), "at least 5 frames, got 4"),
        (torch.zeros(1, 8, 3, 8, 8), "must be uint8, got float32"),
        (torch.zeros(1, 8, 1, 8, 8, dtype=torch.uint8), r"batch frames 3 height width"),
        (torch.zeros(0, 8, 3, 8, 8, dtype=torch.uint8), "hold nothing"),
    ],
)
def test_refuses_what_is_not_colour_video(extractor, clips, message):
    with pytest.raises(InvalidVideo, match=message):
        extractor.forward(clips)
