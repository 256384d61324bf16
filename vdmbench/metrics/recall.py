"""Does a model remember a place? Predicted frames at moments where the camera is back at a view it had before."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.metrics.bootstrap import interval_over_videos
from vdmbench.metrics.prediction import PSNR_CEILING
from vdmbench.metrics.video import InvalidVideo, check_uint8


@dataclass(frozen=True)
class Recall:
    """PSNR in dB (100 at most) from the mean squared error over frames of all clips; null where there is no such frame."""

    revisits: int
    """Predicted frames that show a view of the known frames: what they show could be known."""
    psnr: float | None
    """At revisits, against the true frame."""
    novel_psnr: float | None
    """At predicted frames that show what was not seen before: memory cannot help."""
    gain: float | None
    """``psnr`` minus ``novel_psnr``: how much better what was seen is predicted than what was not."""
    interval: tuple[float, float] | None
    """Of the gain, over draws of videos; null where there are too few."""
    consistency: float | None
    """At every return, to known or predicted views, against the clip's own frame of the first visit."""
    by_gap: dict[int, float]
    """``psnr`` by the time since the first visit: gaps up to 1, 2, 4, ... frames."""


def revisit_recall(
    clips: Iterable[tuple[Tensor, Tensor, Int[Tensor, "pairs 2"]]],
    *,
    known: int,
    videos: Int[Tensor, " clips"] | None = None,
    confidence: float = 0.95,
) -> Recall:
    """Recall over ``(predicted, true, pairs)`` of single clips, uint8 (frames 3 height width).

    ``videos`` names the video that each clip is of; without it each clip is of its own. ``pairs`` (t, t') say that frame t'
    shows the view of the earlier frame t; the first ``known`` frames were given to the model. Where t itself was predicted, the
    truth at t' could not be known, and the pair counts for consistency alone. A model that remembers is better at revisits than
    at novel views, and agrees with itself; one that forgets is not, however sharp it is. Raises :class:`InvalidVideo` where
    sides differ in shape.
    """
    # Of each clip: squared error summed over revisits and over novel frames, and the number of each.
    sums: list[Tensor] = []
    back, own, waited = [], [], []
    for predicted, true, pairs in clips:
        if check_uint8(predicted[None]).shape != check_uint8(true[None]).shape:
            raise InvalidVideo(f"the predicted clip is {tuple(predicted.shape)} and the true one {tuple(true.shape)}")
        error = _mse(predicted, true)
        pairs = torch.as_tensor(pairs).long().view(-1, 2)
        pairs = pairs[pairs[:, 1] >= known]
        earlier, later = pairs[pairs[:, 0] < known].unbind(1)
        novel = torch.ones(len(true), dtype=torch.bool).index_fill(0, pairs[:, 1], False)
        novel[:known] = False
        sums.append(torch.stack([error[later].sum(), torch.tensor(float(len(later))), error[novel].sum(), novel.sum()]))
        back.append(error[later])
        waited.append(later - earlier)
        own.append(_mse(predicted[pairs[:, 1]], predicted[pairs[:, 0]]))
    if not sums:
        raise InvalidVideo("there are no clips to compare")
    of_clip = torch.stack(sums)
    errors, gaps = torch.cat(back), torch.cat(waited)
    bins = 2 ** torch.ceil(torch.log2(gaps.double().clamp_min(1))).long()
    psnr, novel_psnr = _both(of_clip)
    return Recall(
        revisits=len(errors),
        psnr=psnr,
        novel_psnr=novel_psnr,
        gain=_gain(of_clip),
        interval=interval_over_videos(
            lambda drawn: _gain(of_clip[drawn]),
            torch.arange(len(of_clip)) if videos is None else videos,
            confidence=confidence,
        ),
        consistency=_mean_psnr(torch.cat(own)),
        by_gap={int(gap): value for gap in bins.unique() if (value := _mean_psnr(errors[bins == gap])) is not None},
    )


def _mse(one: Tensor, other: Tensor) -> Float[Tensor, " frames"]:
    """Mean squared error of each frame, of values in [0, 1]."""
    return ((one.double() - other.double()) / 255).square().mean((1, 2, 3))


def _mean_psnr(errors: Float[Tensor, " frames"]) -> float | None:
    return _psnr(float(errors.sum()), len(errors))


def _psnr(error: float, frames: float) -> float | None:
    if not frames:
        return None
    return PSNR_CEILING if error == 0 else min(PSNR_CEILING, -10 * math.log10(error / frames))


def _both(of_clip: Float[Tensor, "clips 4"]) -> tuple[float | None, float | None]:
    """PSNR at revisits and at novel frames."""
    error, frames, novel_error, novel_frames = of_clip.sum(0).tolist()
    return _psnr(error, frames), _psnr(novel_error, novel_frames)


def _gain(of_clip: Float[Tensor, "clips 4"]) -> float | None:
    psnr, novel = _both(of_clip)
    return None if psnr is None or novel is None else psnr - novel
