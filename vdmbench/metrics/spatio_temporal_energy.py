"""Spatio-temporal energy: video features without weights, from octave bands and 3-D Gabor filters at the clip's own resolution.

A feature extractor that needs no download and no training, for a Fréchet distance that sees broken time, colour and detail. It
is *not* FVD and a distance on it is never called so. Frames are never resized, only halved, so that the finest octave is the
clip's own and two clips may be compared at one resolution only. The Gabor filters are oriented in space-time, so each answers
to a speed along a direction (Adelson & Bergen 1985, "Spatiotemporal energy models for the perception of motion", J. Opt. Soc.
Am. A 2(2)).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.metrics.luma import luma_and_chroma
from vdmbench.metrics.video import InvalidVideo, check_uint8

OCTAVES = 3  # finest bands that stand apart; what is coarser than a block of 8 pixels is one more
GAPS = (2, 4)  # frames between the two of a difference, beside neighbours
MOTION_SIDE = 32  # motion is measured on luma halved until its shorter side is no longer
MOTION_SCALES = 2  # at that size, and at half of it
GRID = 2  # cells a side that keep coarse position
ORIENTATIONS = 4
SPEEDS = (-1.0, 0.0, 1.0)  # pixels a frame along the orientation, at each scale's own pixel size
TAPS = (5, 7, 7)  # frames, rows, columns of a filter
SPATIAL_FREQUENCY = 0.2  # cycles a pixel: with speed 1, temporal frequency 0.2 cycles a frame, well under Nyquist
SIGMA = (1.2, 1.8, 1.8)  # Gaussian window, in frames and pixels
MOTION_FLOOR = 1e-4  # of a filter's energy: about 1/255 of contrast, squared and over the window; below it is quantisation
BAND_FLOOR = 1 / 255**2  # of the energy of a band: one level of 256
LATTICE_FLOOR = BAND_FLOOR / 16  # an average over blocks is finer than a level


def gabor_filters() -> Float[Tensor, "filters 1 frames rows columns"]:
    """Quadrature pairs: even filters first, then odd ones, each over orientation (outer) and speed (inner), float64."""
    frames, rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in TAPS)
    t, y, x = torch.meshgrid(frames, rows, columns, indexing="ij")
    window = torch.exp(-0.5 * ((t / SIGMA[0]) ** 2 + (y / SIGMA[1]) ** 2 + (x / SIGMA[2]) ** 2))
    even: list[Tensor] = []
    odd: list[Tensor] = []
    for orientation in range(ORIENTATIONS):
        angle = math.pi * orientation / ORIENTATIONS
        along = x * math.cos(angle) + y * math.sin(angle)
        for speed in SPEEDS:
            # A grating that drifts at `speed` has phase 2 pi f (u - v t) (Adelson & Bergen 1985, section 2).
            phase = 2 * math.pi * SPATIAL_FREQUENCY * (along - speed * t)
            for group, wave in ((even, phase.cos()), (odd, phase.sin())):
                # Without its mean under the window a filter does not answer to plain brightness.
                carrier = wave - (wave * window).sum() / window.sum()
                kernel = carrier * window
                group.append(kernel / kernel.norm())
    return torch.stack(even + odd).unsqueeze(1)


class SpatioTemporalEnergy(nn.Module):
    """Clips to 84 features: motion, detail and change in luma and both chroma channels, mostly logarithms of energies.

    Few features, for the bias of a Fréchet distance of few clips grows with the square of their number. The same clip gives the
    same features whatever batch it comes in; ``.double()`` computes them in float64.
    """

    name = "ste"
    minimum_frames = max(TAPS[0], max(GAPS) + 1)
    frames_at_once = 64
    scale_floor: float | None = 0.01
    """Features of mixed units: a distance divides each by its deviation in the reference, at least this one."""

    num_features = (
        MOTION_SCALES * ORIENTATIONS * len(SPEEDS)  # energy of each filter
        + GRID**2  # where the energy is
        + 2 * GRID**2  # along rows and columns, how much more of it goes one way than the other, and where
        + 3 * GRID**2  # mean colour, and where
        + 3 * 2 * (OCTAVES + 1)  # energy of each band in space, and of its change from frame to frame
        + 3 * len(GAPS)  # change over longer gaps
        + 3  # how unevenly frames follow each other
        + 3  # what all blocks of 2 x 2 pixels have in common
    )

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", gabor_filters().float(), persistent=False)

    @torch.no_grad()
    def forward(self, videos: Tensor) -> Float[Tensor, "batch features"]:
        """Features of uint8 clips (batch frames 3 height width), 5 frames or more, any size."""
        frames = check_uint8(videos).shape[1]
        if frames < self.minimum_frames:
            raise InvalidVideo(f"spatio-temporal energy needs at least {self.minimum_frames} frames, got {frames}")
        planes = luma_and_chroma(videos.to(self.filters.dtype) / 255)
        change = planes[:, 1:] - planes[:, :-1]
        energy = change.square().mean((3, 4))  # (batch, frame, channel)
        features = [
            *self._motion(planes[:, :, 0]),
            F.adaptive_avg_pool2d(planes.mean(1), GRID).flatten(1),
            *_bands(planes),
            *_bands(change, whole=True),
            *(_log((planes[:, gap:] - planes[:, :-gap]).square().mean((1, 3, 4)), BAND_FLOOR) for gap in GAPS),
            _log(energy, BAND_FLOOR).std(1, correction=0),
            _lattice(planes.mean(1)),
        ]
        return torch.cat(features, dim=1)

    def _motion(self, luma: Float[Tensor, "batch frames rows columns"]) -> list[Float[Tensor, "batch _"]]:
        """Energy of each filter at each scale, where it lies, and which way it goes there.

        An approach is motion outwards, whose directions cancel in the mean over a frame.
        """
        while min(luma.shape[-2:]) > MOTION_SIDE:
            luma = _halved(luma)
        each, cells = [], torch.zeros((), dtype=luma.dtype, device=luma.device)
        for scale in range(MOTION_SCALES):
            luma = _halved(luma) if scale else luma
            energy = self._energy(luma)
            each.append(_log(energy.mean((3, 4, 5)), MOTION_FLOOR).flatten(1))
            cells = cells + F.adaptive_avg_pool2d(energy.mean(3).flatten(0, 2), GRID).view(*energy.shape[:3], -1)
        towards = _log(cells[:, :: ORIENTATIONS // 2], MOTION_FLOOR)  # along columns, and along rows
        return [*each, _log(cells.mean((1, 2)), MOTION_FLOOR), (towards[:, :, -1] - towards[:, :, 0]).flatten(1)]

    def _energy(
        self, luma: Float[Tensor, "batch frames rows columns"]
    ) -> Float[Tensor, "batch orientations speeds kept rows columns"]:
        batch, frames, rows, columns = luma.shape
        half = TAPS[1] // 2
        padded = F.pad(luma, (half, half, half, half), mode="replicate")
        even, odd = F.conv3d(padded.unsqueeze(1), self.filters).chunk(2, dim=1)
        # Energy of a quadrature pair, blind to phase (Adelson & Bergen 1985, eq. of section 3: even^2 + odd^2).
        energy = even.square_() + odd.square_()
        return energy.view(batch, ORIENTATIONS, len(SPEEDS), frames - TAPS[0] + 1, rows, columns)


def _bands(
    planes: Float[Tensor, "batch frames channels rows columns"], *, whole: bool = False
) -> list[Float[Tensor, "batch channels"]]:
    """Log energy of the finest octaves, each what a halving takes away (Haar's detail), and of what is left.

    What is left is taken about its mean over the clip, or ``whole``.
    """
    found = []
    for _ in range(OCTAVES):
        planes = _even(planes)
        coarse = _halved(planes)
        detail = planes - coarse.repeat_interleave(2, -2).repeat_interleave(2, -1)
        found.append(_log(detail.square().mean((1, 3, 4)), BAND_FLOOR))
        planes = coarse
    left = planes.square().mean((1, 3, 4)) if whole else planes.var((1, 3, 4), correction=0)
    return [*found, _log(left, BAND_FLOOR)]


def _lattice(planes: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels"]:
    """Log energy of the pattern that all blocks of 2 x 2 pixels have in common: nothing in a picture, much in the grid that
    upsampling leaves (Odena et al. 2016, "Deconvolution and checkerboard artifacts")."""
    blocks = _even(planes).unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # (batch, channel, row, 2, column, 2)
    return _log(blocks.mean((2, 4)).var((2, 3), correction=0), LATTICE_FLOOR)


def _even(planes: Float[Tensor, "*leading rows columns"]) -> Float[Tensor, "*leading _ _"]:
    """With the last row and column repeated where their number is odd."""
    rows, columns = planes.shape[-2:]
    if rows % 2:
        planes = torch.cat([planes, planes[..., -1:, :]], dim=-2)
    if columns % 2:
        planes = torch.cat([planes, planes[..., -1:]], dim=-1)
    return planes


def _halved(planes: Float[Tensor, "*leading rows columns"]) -> Float[Tensor, "*leading _ _"]:
    """Means of blocks of 2 x 2 pixels."""
    even = _even(planes)
    return F.avg_pool2d(even.flatten(0, -3), 2).unflatten(0, even.shape[:-2])


def _log(energy: Float[Tensor, "*shape"], floor: float) -> Float[Tensor, "*shape"]:
    return (energy + floor).log()
