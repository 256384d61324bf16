"""Spatio-temporal energy: video features without weights, from fixed 3-D Gabor filters.

A feature extractor that needs no download and no training, for a Fréchet distance that sees broken time. It is *not* FVD
and a distance on it is never called so. The filters are oriented in space-time, so each answers to a speed along a
direction (Adelson & Bergen 1985, "Spatiotemporal energy models for the perception of motion", J. Opt. Soc. Am. A 2(2)).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.metrics.video import InvalidVideo, check_uint8

SIDE = 32  # pixels of the square on which energies are measured
SCALES = 3  # octaves below it: 32, 16 and 8 pixels
GRID = 2  # cells a side that keep coarse position
ORIENTATIONS = 4
SPEEDS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # pixels a frame along the orientation, at each scale's own pixel size
TAPS = (5, 7, 7)  # frames, rows, columns of a filter
SPATIAL_FREQUENCY = 0.2  # cycles a pixel: with speed 1, temporal frequency 0.2 cycles a frame, well under Nyquist
SIGMA = (1.2, 1.8, 1.8)  # Gaussian window, in frames and pixels
GAPS = (1, 2, 4)  # frames between the two of a difference
ENERGY_FLOOR = 1e-4  # about 1/255 of contrast, squared and over the window: below it is quantisation
DIFFERENCE_FLOOR = 1 / 255
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


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
    """Clips to 111 features: log motion energies, their change over time, colour and frame differences.

    The same clip gives the same features whatever batch it comes in; ``.double()`` computes them in float64.
    """

    name = "ste"
    minimum_frames = max(TAPS[0], max(GAPS) + 1)
    frames_at_once = 256
    scale_floor: float | None = 0.01
    """Features of mixed units: a distance divides each by its deviation in the reference, at least this one."""

    num_features = (
        SCALES * ORIENTATIONS * len(SPEEDS)  # energy of each filter
        + SCALES * GRID**2  # where the energy is
        + SCALES * len(SPEEDS)  # deviation over time of the energy at each speed
        + 3 * GRID**2  # colour
        + len(GAPS) * GRID**2  # differences between frames
    )

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", gabor_filters().float(), persistent=False)

    @torch.no_grad()
    def forward(self, videos: Tensor) -> Float[Tensor, "batch features"]:
        """Features of uint8 clips (batch frames 3 height width), 5 frames or more, any size (resampled, anti-aliased)."""
        batch, frames = check_uint8(videos).shape[:2]
        if frames < self.minimum_frames:
            raise InvalidVideo(f"spatio-temporal energy needs at least {self.minimum_frames} frames, got {frames}")
        colour = videos.flatten(0, 1).to(self.filters.dtype) / 255
        if colour.shape[-2:] != (SIDE, SIDE):
            colour = F.interpolate(colour, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        luma = torch.einsum("nchw,c->nhw", colour, colour.new_tensor(LUMA)).view(batch, frames, SIDE, SIDE)

        features = []
        pyramid = luma
        for scale in range(SCALES):
            if scale:
                pyramid = F.avg_pool2d(pyramid, 2)
            features += self._energies(pyramid)
        features.append(F.adaptive_avg_pool2d(colour, GRID).view(batch, frames, -1).mean(1))
        for gap in GAPS:
            difference = (luma[:, gap:] - luma[:, :-gap]).abs().mean(1)
            features.append((F.adaptive_avg_pool2d(difference, GRID).flatten(1) + DIFFERENCE_FLOOR).log())
        return torch.cat(features, dim=1)

    def _energies(self, luma: Float[Tensor, "batch frames rows columns"]) -> list[Float[Tensor, "batch _"]]:
        batch, frames, rows, columns = luma.shape
        half = TAPS[1] // 2
        padded = F.pad(luma, (half, half, half, half), mode="replicate")
        even, odd = F.conv3d(padded.unsqueeze(1), self.filters).chunk(2, dim=1)
        # Energy of a quadrature pair, blind to phase (Adelson & Bergen 1985, eq. of section 3: even^2 + odd^2).
        energy = (even.square_() + odd.square_()).view(batch, ORIENTATIONS, len(SPEEDS), frames - TAPS[0] + 1, rows, columns)
        each = (energy.mean((3, 4, 5)) + ENERGY_FLOOR).log()
        place = (F.adaptive_avg_pool2d(energy.mean((1, 2, 3)), GRID) + ENERGY_FLOOR).log()
        course = (energy.mean((1, 4, 5)) + ENERGY_FLOOR).log()  # (batch, speed, frame)
        return [each.flatten(1), place.flatten(1), course.std(-1, correction=0)]
