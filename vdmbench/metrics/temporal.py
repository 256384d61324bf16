"""Time in a video measured on its pixels: flicker, dynamic degree, similarity against the gap between frames."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.metrics.extractor import in_batches
from vdmbench.metrics.video import InvalidVideo, check_uint8

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
MOVED = 8 / 255  # a pixel has moved where its luma changes by more than compression and sensor noise


def temporal_profile(clips: Tensor | Iterable[Tensor]) -> dict[str, float | dict[int, float]]:
    """What time does in uint8 clips (batch frames 3 height width) of at least 3 frames, averaged over clips.

    - ``flicker``: mean absolute deviation of a frame's luma from the mean of its two neighbours, in units of the range;
      zero for a still video, so it is never to be read without the next.
    - ``dynamic_degree``: share of pixels whose luma, anywhere in the clip, has left its first value by more than 8/255.
    - ``similarity``: correlation of the luma of two frames, by their gap (1, 2, 4, ...), averaged over pairs.
    """
    flicker, dynamic, count = 0.0, 0.0, 0
    similar: dict[int, float] = {}
    for batch in in_batches(clips):
        frames = check_uint8(batch).shape[1]
        if frames < 3:
            raise InvalidVideo(f"a temporal profile needs at least 3 frames, got {frames}")
        luma = torch.einsum("bfchw,c->bfhw", batch.double() / 255, torch.tensor(LUMA, dtype=torch.float64))
        between = (luma[:, 2:] + luma[:, :-2]) / 2
        flicker += float((luma[:, 1:-1] - between).abs().mean((1, 2, 3)).sum())
        dynamic += float(((luma - luma[:, :1]).abs().amax(1) > MOVED).double().mean((1, 2)).sum())
        for gap, value in similarity_by_gap(luma).items():
            similar[gap] = similar.get(gap, 0.0) + float(value.sum())
        count += len(batch)
    if not count:
        raise InvalidVideo("there are no clips to measure")
    return {"flicker": flicker / count, "dynamic_degree": dynamic / count,
            "similarity": {gap: total / count for gap, total in similar.items()}}


def similarity_by_gap(luma: Float[Tensor, "batch frames height width"]) -> dict[int, Float[Tensor, " batch"]]:
    """Correlation of frames that lie 1, 2, 4, ... apart, for each clip. A frame of one plain grey is like any other."""
    frames = luma.flatten(2)
    frames = frames - frames.mean(2, keepdim=True)
    norms = frames.norm(dim=2)
    result: dict[int, Tensor] = {}
    gap = 1
    while gap < luma.shape[1]:
        products = (frames[:, gap:] * frames[:, :-gap]).sum(2)
        scale = norms[:, gap:] * norms[:, :-gap]
        result[gap] = torch.where(scale > 1e-12, products / scale.clamp_min(1e-12), 1.0).mean(1)
        gap *= 2
    return result
