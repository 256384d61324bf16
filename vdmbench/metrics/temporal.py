"""Time in a video measured on its own pixels, with no set to compare it with: what a distance between sets hardly sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.metrics.extractor import ClipFeatures, extract, in_batches
from vdmbench.metrics.luma import luma_and_chroma
from vdmbench.metrics.protocol import Protocol, WindowRule
from vdmbench.metrics.video import InvalidVideo, check_uint8

MOVED = 8 / 255  # a pixel has moved where its luma changes by more than compression and sensor noise
MINIMUM_FRAMES = 3
VERSION = 2  # of the rows that are kept; 1 knew no chroma

CountCuts = Callable[[Tensor], Tensor]
"""uint8 clips (batch frames 3 height width) to the cuts in each."""


@dataclass(frozen=True)
class TemporalProfile:
    """What time does in a set of clips, averaged over them."""

    clips: int
    flicker: float
    """Mean absolute deviation of a frame's luma from the mean of its two neighbours, as a share of the range. Zero for a
    still video, so it is never to be read without ``dynamic_degree``."""
    colour_flicker: float
    """The same of chroma (Cb and Cr, ITU-R BT.601), their mean: what luma does not show."""
    dynamic_degree: float
    """Share of pixels whose luma, anywhere in the clip, leaves its first value by more than 8/255."""
    similarity: dict[int, float]
    """Correlation of the luma of two frames, by their gap (1, 2, 4, ...), averaged over pairs."""
    cut_rate: float | None = None
    """Cuts per 100 frames; null where no detector was asked."""

    def as_json(self) -> dict[str, object]:
        """With the gaps as text, as JSON has its keys."""
        return asdict(self) | {"similarity": {str(gap): value for gap, value in self.similarity.items()}}


class TemporalFeatures:
    """Each clip's own profile as a row of numbers, so that it is streamed, kept and resumed as features are.

    The row is flicker, colour flicker, dynamic degree, cuts where a detector is given, then similarity at each gap.
    """

    name = "temporal-profile"
    minimum_frames = MINIMUM_FRAMES
    frames_at_once = 1024
    scale_floor: float | None = None

    def __init__(self, cuts: CountCuts | None = None) -> None:
        self.cuts = cuts
        self.num_features = 3 + (cuts is not None)
        """Without the similarities, whose number grows with the length of clips."""

    def protocol(self, *, frames: int | None = None, stride: int = 1, window: WindowRule = "whole") -> Protocol:
        """How clips are cut before they are measured."""
        return Protocol(
            name=self.name,
            extractor=f"{self.name}{'+cuts' if self.cuts else ''}",
            weights=None,
            size=None,
            resize=None,
            frames=frames,
            stride=stride,
            window=window,
            version=VERSION,
        )

    def __call__(self, videos: Tensor) -> Float[Tensor, "batch numbers"]:
        """One row a clip, float64; raises :class:`InvalidVideo` below 3 frames."""
        frames = check_uint8(videos).shape[1]
        if frames < MINIMUM_FRAMES:
            raise InvalidVideo(f"a temporal profile needs at least {MINIMUM_FRAMES} frames, got {frames}")
        planes = luma_and_chroma(videos.double() / 255)
        apart = (planes[:, 1:-1] - (planes[:, 2:] + planes[:, :-2]) / 2).abs().mean((1, 3, 4))  # (batch, channel)
        luma = planes[:, :, 0]
        columns = [
            apart[:, 0],
            apart[:, 1:].mean(1),
            ((luma - luma[:, :1]).abs().amax(1) > MOVED).double().mean((1, 2)),
        ]
        if self.cuts is not None:
            columns.append(self.cuts(videos).to(luma))
        return torch.stack([*columns, *similarity_by_gap(luma).values()], dim=1)

    def profile(self, measured: ClipFeatures) -> TemporalProfile:
        """The average over the rows of :meth:`__call__`."""
        means = measured.features.double().mean(0).tolist()
        own = self.num_features
        return TemporalProfile(
            clips=len(measured),
            flicker=means[0],
            colour_flicker=means[1],
            dynamic_degree=means[2],
            similarity={gap: value for gap, value in zip(gaps(measured.frames), means[own:], strict=True)},
            cut_rate=None if self.cuts is None else 100 * means[3] / measured.frames,
        )


def temporal_profile(clips: Tensor | Iterable[Tensor], *, cuts: CountCuts | None = None) -> TemporalProfile:
    """The profile of uint8 clips (batch frames 3 height width), one tensor or batches, of at least 3 frames.

    ``cuts`` counts the cuts of each clip, such as :func:`vdmbench.metrics.cuts.load_cut_detector` gives. Raises
    :class:`InvalidVideo` on what is not such video.
    """
    features = TemporalFeatures(cuts)
    return features.profile(extract(features, in_batches(clips), features.protocol()))


def gaps(frames: int) -> list[int]:
    """1, 2, 4, ... below ``frames``."""
    return [2**power for power in range((frames - 1).bit_length())]


def similarity_by_gap(luma: Float[Tensor, "batch frames height width"]) -> dict[int, Float[Tensor, " batch"]]:
    """Correlation of frames that lie 1, 2, 4, ... apart, for each clip. A frame of one plain grey is like any other."""
    frames = luma.flatten(2)
    frames = frames - frames.mean(2, keepdim=True)
    norms = frames.norm(dim=2)
    result: dict[int, Tensor] = {}
    for gap in gaps(luma.shape[1]):
        products = (frames[:, gap:] * frames[:, :-gap]).sum(2)
        scale = norms[:, gap:] * norms[:, :-gap]
        result[gap] = torch.where(scale > 1e-12, products / scale.clamp_min(1e-12), 1.0).mean(1)
    return result
