"""Predicted frames against the true ones, frame by frame: PSNR, SSIM, LPIPS."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vdmbench.metrics.lpips import LPIPS
from vdmbench.metrics.video import InvalidVideo, check_uint8

PSNR_CEILING = 100.0  # dB; equal frames would have infinitely many


@torch.no_grad()
def prediction_scores(pairs: Iterable[tuple[Tensor, Tensor]], lpips: LPIPS | None = None) -> dict[str, list[float]]:
    """Mean over clips at each frame, of (predicted, true) batches of uint8 clips (batch frames 3 height width).

    ``psnr`` in dB on the whole range (100 at most); ``ssim`` with the Gaussian window of 11 pixels of Wang et al. 2004,
    "Image quality assessment"; ``lpips`` where its network is given. Raises :class:`InvalidVideo` where two sides differ in
    shape.
    """
    totals: dict[str, Tensor] = {}
    count = 0
    for predicted, true in pairs:
        if check_uint8(predicted).shape != check_uint8(true).shape:
            raise InvalidVideo(f"predicted clips are {tuple(predicted.shape)} and the true ones {tuple(true.shape)}")
        if count and predicted.shape[1] != len(totals["psnr"]):
            raise InvalidVideo(f"clips differ in frames, {len(totals['psnr'])} and {predicted.shape[1]}")
        batch, frames = predicted.shape[:2]
        x, y = (side.flatten(0, 1).double() / 255 for side in (predicted, true))
        similarity = structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
        assert isinstance(similarity, Tensor)  # a pair only where the full picture is asked for
        scores = {
            "psnr": peak_signal_noise_ratio(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3)).clamp_max(PSNR_CEILING),
            "ssim": similarity,
        }
        if lpips is not None:
            scores["lpips"] = lpips(2 * x.float() - 1, 2 * y.float() - 1)
        for name, values in scores.items():
            summed = values.double().view(batch, frames).sum(0)
            totals[name] = totals[name] + summed if name in totals else summed
        count += batch
    if not count:
        raise InvalidVideo("there are no clips to compare")
    return {name: (total / count).tolist() for name, total in totals.items()}
