"""Predicted frames against the true ones, frame by frame: PSNR, SSIM, LPIPS."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vdmbench.metrics.lpips import LPIPS
from vdmbench.metrics.video import InvalidVideo, check_uint8

PSNR_CEILING = 100.0  # dB; equal frames would have infinitely many


@torch.no_grad()
def prediction_scores(
    pairs: Iterable[tuple[Tensor, Tensor]], lpips: LPIPS | None = None
) -> dict[str, Float[Tensor, "clips frames"]]:
    """Each frame of each clip, of (predicted, true) batches of uint8 clips (batch frames 3 height width); float64 on the CPU.

    ``psnr`` in dB on the whole range (100 at most); ``ssim`` with the Gaussian window of 11 pixels of Wang et al. 2004,
    "Image quality assessment"; ``lpips`` where its network is given. Raises :class:`InvalidVideo` where two sides differ in
    shape.
    """
    # Here, for it brings plotting and text libraries with it: a second and a hundred MiB of every worker that predicts nothing.
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    found: dict[str, list[Tensor]] = {}
    for predicted, true in pairs:
        if check_uint8(predicted).shape != check_uint8(true).shape:
            raise InvalidVideo(f"predicted clips are {tuple(predicted.shape)} and the true ones {tuple(true.shape)}")
        batch, frames = predicted.shape[:2]
        if found and frames != found["psnr"][0].shape[1]:
            raise InvalidVideo(f"clips differ in frames, {found['psnr'][0].shape[1]} and {frames}")
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
            found.setdefault(name, []).append(values.double().view(batch, frames).cpu())
    if not found:
        raise InvalidVideo("there are no clips to compare")
    return {name: torch.cat(parts) for name, parts in found.items()}


def last_known_repeated(
    true: UInt8[Tensor, "batch frames channels height width"], known: int
) -> UInt8[Tensor, "batch frames channels height width"]:
    """The first ``known`` frames, and the last of them ever after: the prediction that needs no model."""
    still = true[:, known - 1 : known].expand(-1, true.shape[1] - known, -1, -1, -1)
    return torch.cat([true[:, :known], still], 1)
