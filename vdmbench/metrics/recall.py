"""Does a model remember a place? Predicted frames at moments where the camera is back at a view it had before."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdmbench.metrics.prediction import PSNR_CEILING
from vdmbench.metrics.video import InvalidVideo, check_uint8


@dataclass(frozen=True)
class Recall:
    """PSNR in dB (100 at most) from the mean squared error over frames; null where there is no such frame."""

    revisits: int
    """Predicted frames that show a view seen before."""
    psnr: float | None
    """At revisits, against the true frame: the world let it be known."""
    novel_psnr: float | None
    """At all other predicted frames: what the model does where memory cannot help."""
    consistency: float | None
    """At revisits, against the model's own frame of the first visit (the given one, where that was given)."""
    by_gap: dict[int, float]
    """``psnr`` by the time since the first visit: gaps up to 1, 2, 4, ... frames."""


def revisit_recall(
    clips: Iterable[tuple[Tensor, Tensor, Int[Tensor, "pairs 2"]]], *, known: int
) -> Recall:
    """Recall over ``(predicted, true, pairs)`` of single clips, uint8 (frames 3 height width).

    ``pairs`` (t, t') say that frame t' shows the view of the earlier frame t; the first ``known`` frames were given to the
    model. Only pairs whose t' was predicted count. A model that remembers is better at revisits than at novel views, and
    agrees with itself; one that forgets is not, however sharp it is. Raises :class:`InvalidVideo` where sides differ in shape.
    """
    back, own, novel, waited = [], [], [], []
    for predicted, true, pairs in clips:
        if check_uint8(predicted[None]).shape != check_uint8(true[None]).shape:
            raise InvalidVideo(f"the predicted clip is {tuple(predicted.shape)} and the true one {tuple(true.shape)}")
        error = _mse(predicted, true)
        pairs = torch.as_tensor(pairs).long().view(-1, 2)
        earlier, later = pairs[pairs[:, 1] >= known].unbind(1)
        seen = torch.zeros(len(true), dtype=torch.bool).index_fill(0, later, True)
        seen[:known] = True
        back.append(error[later])
        novel.append(error[~seen])
        own.append(_mse(predicted[later], predicted[earlier]))
        waited.append(later - earlier)
    if not back:
        raise InvalidVideo("there are no clips to compare")
    errors, gaps = torch.cat(back), torch.cat(waited)
    bins = 2 ** torch.ceil(torch.log2(gaps.double().clamp_min(1))).long()
    return Recall(
        revisits=len(errors),
        psnr=_psnr(errors),
        novel_psnr=_psnr(torch.cat(novel)),
        consistency=_psnr(torch.cat(own)),
        by_gap={int(gap): value for gap in bins.unique() if (value := _psnr(errors[bins == gap])) is not None},
    )


def _mse(one: Tensor, other: Tensor) -> Float[Tensor, " frames"]:
    """Mean squared error of each frame, of values in [0, 1]."""
    return ((one.double() - other.double()) / 255).square().mean((1, 2, 3))


def _psnr(errors: Float[Tensor, " frames"]) -> float | None:
    if not len(errors):
        return None
    mean = float(errors.mean())
    return PSNR_CEILING if mean == 0 else min(PSNR_CEILING, -10 * math.log10(mean))
